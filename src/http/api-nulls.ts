import type { JsonSchema } from './api-operation.ts'

const nothing: JsonSchema = { type: 'null' }

/**
 * A schema that says what holds for the bodies of the APIs of others: a null is the same as a field that is left out, at any depth. The
 * schemas that validate do not say so, as they see bodies without their nulls.
 */
export function withNulls(schema: JsonSchema): JsonSchema {
  const { properties, items, anyOf, oneOf, allOf, additionalProperties, required = [] } = schema
  const fields = Object.entries(properties ?? {}).map(([name, field]) => {
    const inner = withNulls(field)
    return [name, required.includes(name) ? inner : { anyOf: [inner, nothing], ...describe(field) }] as const
  })
  return {
    ...schema,
    ...(properties === undefined ? {} : { properties: Object.fromEntries(fields) }),
    ...(additionalProperties === false ? { additionalProperties: nothing } : {}),
    ...(items === undefined ? {} : { items: withNulls(items) }),
    ...(anyOf === undefined ? {} : { anyOf: anyOf.map(withNulls) }),
    ...(oneOf === undefined ? {} : { oneOf: oneOf.map(withNulls) }),
    ...(allOf === undefined ? {} : { allOf: allOf.map(withNulls) }),
  }
}

const describe = ({ description }: JsonSchema) => (description === undefined ? {} : { description })
