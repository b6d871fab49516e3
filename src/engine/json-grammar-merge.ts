import { isDeepStrictEqual } from 'node:util'
import { isJsonObject, type JsonObject, refuse } from './json-grammar-limits.ts'
import { assertionsOf, followReferences, type PlacedSchema } from './json-grammar-reference.ts'

const mergeable = new Set(['type', 'properties', 'required', 'additionalProperties', 'allOf'])

/**
 * One object schema that says what a schema with `allOf` says. Throws `invalid` where its parts are not plain object
 * schemas, or where they speak of the same property in different words.
 */
export function mergeObjects(root: unknown, placed: PlacedSchema): JsonObject {
  const parts = listParts(root, placed, 0)
  const properties = new Map<string, unknown>()
  for (const { schema, pointer } of parts) {
    for (const [name, value] of Object.entries(propertiesOf(schema, pointer))) {
      if (properties.has(name) && !isDeepStrictEqual(properties.get(name), value))
        refuse(placed.pointer, 'allOf', `says different things about "${name}"`)
      properties.set(name, value)
    }
  }
  for (const { schema, pointer } of parts) {
    const own = propertiesOf(schema, pointer)
    const { additionalProperties } = schema
    if (additionalProperties === undefined || additionalProperties === true) continue
    if (additionalProperties !== false) refuse(pointer, 'additionalProperties', "can't be combined with allOf")
    for (const name of properties.keys())
      if (!Object.hasOwn(own, name))
        refuse(pointer, 'additionalProperties', `forbids "${name}", which another part of allOf names`)
  }
  const isClosed = parts.some(({ schema }) => schema.additionalProperties === false)
  const required = [...new Set(parts.flatMap(({ schema, pointer }) => requiredOf(schema, pointer)))]
  return {
    type: 'object',
    properties: Object.fromEntries(properties),
    required,
    ...(isClosed ? { additionalProperties: false } : {}),
  }
}

type Part = Readonly<{ schema: JsonObject; pointer: string }>

function listParts(root: unknown, placed: PlacedSchema, depth: number): readonly Part[] {
  const { schema, pointer } = followReferences(root, placed)
  if (depth > 20) return refuse(placed.pointer, 'allOf', 'is nested too deeply, or in itself')
  if (!isJsonObject(schema)) return refuse(pointer, 'allOf', 'may only combine object schemas')
  for (const keyword of assertionsOf(schema))
    if (!mergeable.has(keyword)) refuse(pointer, keyword, "can't be combined with allOf")
  if (schema.type !== undefined && schema.type !== 'object') refuse(pointer, 'type', 'must be "object" in allOf')
  const { allOf = [] } = schema
  if (!Array.isArray(allOf)) return refuse(pointer, 'allOf', 'must be a list of schemas')
  const inner = allOf.flatMap((part: unknown, place) =>
    listParts(root, { schema: part, pointer: `${pointer}/allOf/${place}` }, depth + 1),
  )
  return [{ schema, pointer }, ...inner]
}

function propertiesOf(schema: JsonObject, pointer: string): JsonObject {
  const { properties = {} } = schema
  return isJsonObject(properties) ? properties : refuse(pointer, 'properties', 'must be an object')
}

function requiredOf({ required = [] }: JsonObject, pointer: string): readonly unknown[] {
  return Array.isArray(required) ? required : refuse(pointer, 'required', 'must be a list of property names')
}
