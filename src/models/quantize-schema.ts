import Type, { type Static } from 'typebox'
import { quantizationNames } from '../engine/quantization.ts'
import { quantizeReport } from './quantize-report.ts'

export const modelName = { minLength: 1, maxLength: 255 }
const text = { minLength: 1, maxLength: 1_000_000 }

export const quantizeBody = Type.Object(
  {
    model: Type.String({ ...modelName, description: 'An installed model; it may be quantized itself.' }),
    quantization: Type.Enum(quantizationNames),
    name: Type.Optional(
      Type.String({ ...modelName, description: 'Of the new model; else made from the model and quantization.' }),
    ),
    report: Type.Optional(Type.Boolean({ default: true, description: 'Whether the new model is measured beside the original.' })),
    text: Type.Optional(Type.String({ ...text, description: 'To measure with; else a text that comes with the program.' })),
    calibration_text: Type.Optional(
      Type.Union([Type.String(text), Type.Array(Type.String(text), { minItems: 1, maxItems: 10_000 })], {
        description:
          'A text, or prompts, like those that the model will get: what it computes for them makes the importance matrix. ' +
          'IQ3_XXS, IQ2_M, IQ2_XS and IQ2_XXS need one; all the others below Q8_0 gain from it.',
      }),
    ),
    stream: Type.Optional(Type.Boolean({ default: true })),
  },
  { additionalProperties: false },
)
export type QuantizeBody = Static<typeof quantizeBody>

export const quantizeAnswer = Type.Object({
  model: Type.String(),
  size_bytes: Type.Integer(),
  fallback_tensors: Type.Integer({ description: 'Tensors whose shape does not allow the wanted type: they are larger.' }),
  report: Type.Union([quantizeReport, Type.Null()]),
  report_error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() })),
})
export type QuantizeAnswer = Static<typeof quantizeAnswer>
