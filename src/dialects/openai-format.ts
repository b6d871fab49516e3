import Type, { type Static } from 'typebox'
import type { PredictRequest } from '../predict/predict.ts'
import { wrongField } from './refuse-fields.ts'

const schemaFields = {
  name: Type.Optional(Type.String()),
  description: Type.Optional(Type.String()),
  strict: Type.Optional(Type.Boolean({ description: 'The schema is always kept to.' })),
  schema: Type.Optional(Type.Unknown()),
}

const formatType = Type.Unsafe<'text' | 'json_object' | 'json_schema'>({
  type: 'string',
  enum: ['text', 'json_object', 'json_schema'],
})

/** `response_format` of chat. */
export const responseFormat = Type.Object(
  { type: formatType, json_schema: Type.Optional(Type.Object(schemaFields, { additionalProperties: false })) },
  { additionalProperties: false },
)

/** `text.format` of a response: flat. */
export const textFormat = Type.Object({ type: formatType, ...schemaFields }, { additionalProperties: false })
export type TextFormat = Static<typeof textFormat>

type SchemaBody = Readonly<{ name?: string; schema?: unknown }>

/** `place`: where the request holds the schema. Throws `invalid` where it is missing. */
export function toFormat(
  type: TextFormat['type'] | undefined,
  { schema, name }: SchemaBody,
  place: string,
): Pick<PredictRequest, 'format'> {
  switch (type) {
    case undefined:
    case 'text':
      return {}
    case 'json_object':
      return { format: { type: 'json-object' } }
    case 'json_schema':
      if (schema === undefined) throw wrongField(place, 'given', 'missing')
      return { format: { type: 'json-schema', schema, field: place, ...(name === undefined ? {} : { name }) } }
  }
}
