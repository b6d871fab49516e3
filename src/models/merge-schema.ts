import Type, { type Static } from 'typebox'
import { quantizationNames } from '../engine/quantization.ts'
import { modelName } from './quantize-schema.ts'

export const mergeBody = Type.Object(
  {
    model: Type.String({ ...modelName, description: 'An installed model and an installed adapter: `base+adapter`.' }),
    quantization: Type.Optional(
      Type.Enum(quantizationNames, {
        description: 'Of the new model; else that of the base. IQ3_XXS and IQ2 need a text, so not here.',
      }),
    ),
    name: Type.Optional(
      Type.String({ ...modelName, description: 'Of the new model; else made from base, adapter and quantization.' }),
    ),
    stream: Type.Optional(Type.Boolean({ default: true })),
  },
  { additionalProperties: false },
)
export type MergeBody = Static<typeof mergeBody>

export const mergeAnswer = Type.Object({
  model: Type.String(),
  quantization: Type.String(),
  size_bytes: Type.Integer(),
  fallback_tensors: Type.Integer({ description: 'Tensors whose shape does not allow the wanted type: they are larger.' }),
})
export type MergeAnswer = Static<typeof mergeAnswer>
