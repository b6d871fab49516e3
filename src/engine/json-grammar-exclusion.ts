import { isJsonObject, type JsonObject } from './json-grammar-limits.ts'
import { followReferences, type PlacedSchema } from './json-grammar-reference.ts'

/**
 * Whether it is certain that no value fits both schemas: they differ in type, in fixed values, in a required property with
 * fixed values (a discriminator), or one requires what the other forbids.
 */
export function excludeEachOther(root: unknown, first: PlacedSchema, second: PlacedSchema): boolean {
  const left = followReferences(root, first).schema
  const right = followReferences(root, second).schema
  if (left === false || right === false) return true
  if (!isJsonObject(left) || !isJsonObject(right)) return false
  const [leftTypes, rightTypes] = [typesOf(left), typesOf(right)]
  if (leftTypes && rightTypes && !leftTypes.some((type) => rightTypes.includes(type))) return true
  const [leftValues, rightValues] = [valuesOf(left), valuesOf(right)]
  if (leftValues && rightValues) return !shareValue(leftValues, rightValues)
  if (!isObjectOnly(leftTypes) || !isObjectOnly(rightTypes)) return false
  return differInProperty(left, right) || requiresForbidden(left, right) || requiresForbidden(right, left)
}

const isObjectOnly = (types: readonly string[] | undefined) => types?.length === 1 && types[0] === 'object'

/** `integer` counts as `number`, as each integer is one. */
function typesOf(schema: JsonObject): readonly string[] | undefined {
  const values = valuesOf(schema)
  if (values) return [...new Set(values.map(typeOfValue))]
  const types = typeof schema.type === 'string' ? [schema.type] : schema.type
  return Array.isArray(types) ? types.map((type: unknown) => (type === 'integer' ? 'number' : String(type))) : undefined
}

export function typeOfValue(value: unknown): string {
  if (value === null) return 'null'
  return Array.isArray(value) ? 'array' : typeof value
}

function valuesOf(schema: unknown): readonly unknown[] | undefined {
  if (!isJsonObject(schema)) return undefined
  if (schema.const !== undefined) return [schema.const]
  if (Array.isArray(schema.enum)) return schema.enum
  // Each part of allOf must fit, so that the values of one are all that are left.
  return Array.isArray(schema.allOf) ? schema.allOf.map(valuesOf).find((values) => values !== undefined) : undefined
}

/** Lists and objects are taken for equal: few schemas tell branches apart by them. */
function shareValue(left: readonly unknown[], right: readonly unknown[]): boolean {
  const keyOf = (value: unknown) => (typeof value === 'object' && value !== null ? 'object' : JSON.stringify(value))
  const keys = new Set(left.map(keyOf))
  return right.some((value) => keys.has(keyOf(value)))
}

const requiredOf = ({ required }: JsonObject): readonly unknown[] => (Array.isArray(required) ? required : [])
const propertyOf = ({ properties }: JsonObject, name: unknown): unknown =>
  isJsonObject(properties) && typeof name === 'string' && Object.hasOwn(properties, name) ? properties[name] : undefined

function differInProperty(left: JsonObject, right: JsonObject): boolean {
  return requiredOf(left).some((name) => {
    const [leftValues, rightValues] = [valuesOf(propertyOf(left, name)), valuesOf(propertyOf(right, name))]
    return requiredOf(right).includes(name) && leftValues && rightValues && !shareValue(leftValues, rightValues)
  })
}

const requiresForbidden = (requiring: JsonObject, forbidding: JsonObject) =>
  forbidding.additionalProperties === false && requiredOf(requiring).some((name) => propertyOf(forbidding, name) === undefined)
