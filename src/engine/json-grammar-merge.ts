import { isDeepStrictEqual } from 'node:util'
import { isJsonObject, type JsonObject, refuse } from './json-grammar-limits.ts'
import { assertionsOf, findReferenced, type PlacedSchema, refuseOwnRoot, withoutNullable } from './json-grammar-reference.ts'
import { matchesAt } from './json-grammar-regex-match.ts'

/**
 * One schema without `$ref` and `allOf` of its own that says what these schemas say together; false: that no value fits.
 * Throws `invalid` where two of them say what can't be said in one.
 */
export function mergeSchemas(root: unknown, placed: readonly PlacedSchema[], pointer: string): JsonObject | boolean {
  const parts: JsonObject[] = []
  const found: PlacedSchema[] = []
  for (const [place, one] of placed.entries()) addParts(found, { root, placed: one, depth: 0, isFirst: place === 0 })
  for (const { schema, pointer: place } of found) {
    if (schema === false) return false
    if (isJsonObject(schema)) parts.push(schema)
    else if (schema !== true) refuse(place, '', 'must be a schema: an object, true or false')
  }
  const merged = parts.reduce<JsonObject | false>((all, part) => (all === false ? false : mergeTwo(all, part, pointer)), {})
  return merged === false || assertionsOf(merged).length > 0 ? merged : true
}

const mostParts = 500
type Listing = Readonly<{ root: unknown; placed: PlacedSchema; depth: number; isFirst: boolean }>

/** What a schema says itself, and what it refers to says. */
function addParts(found: PlacedSchema[], { root, placed: { schema, pointer }, depth, isFirst }: Listing): void {
  if (depth > 20) refuse(pointer, 'allOf', 'is nested too deeply, or in itself')
  if (found.length >= mostParts) refuse(pointer, 'allOf', `combines more than ${mostParts} schemas`)
  if (!isJsonObject(schema)) {
    found.push({ schema, pointer })
    return
  }
  if (schema !== root) refuseOwnRoot(schema, pointer)
  const { $ref, allOf = [], ...own } = withoutNullable(schema)
  if (!Array.isArray(allOf)) refuse(pointer, 'allOf', 'must be a list of schemas')
  // Only the outermost schema knows of all properties.
  const isKnown = (keyword: string) => mergeable.has(keyword) || (isFirst && keyword === 'unevaluatedProperties')
  const unknownKeyword = assertionsOf(own).find((keyword) => !isKnown(keyword))
  if (unknownKeyword !== undefined) refuse(pointer, unknownKeyword, "can't be combined with other schemas")
  found.push({ schema: own, pointer })
  const next = { root, depth: depth + 1, isFirst: false }
  if ($ref !== undefined) addParts(found, { ...next, placed: findReferenced(root, $ref, pointer) })
  for (const [place, part] of allOf.entries())
    addParts(found, { ...next, placed: { schema: part, pointer: `${pointer}/allOf/${place}` } })
}

type Combine = (left: unknown, right: unknown) => unknown

const both: Combine = (left, right) => (isDeepStrictEqual(left, right) ? left : { allOf: [left, right] })
const larger: Combine = (left, right) => pick(left, right, Math.max)
const smaller: Combine = (left, right) => pick(left, right, Math.min)
// Undefined is what can't be combined.
const pick = (left: unknown, right: unknown, choose: (...values: number[]) => number) =>
  typeof left === 'number' && typeof right === 'number' ? choose(left, right) : undefined
const equal: Combine = (left, right) => (isDeepStrictEqual(left, right) ? left : undefined)

function shared(left: readonly unknown[], right: readonly unknown[]): readonly unknown[] {
  const texts = new Set(right.map((value) => JSON.stringify(value)))
  return left.filter((value) => texts.has(JSON.stringify(value)))
}

const combinations: Readonly<Record<string, Combine>> = {
  type: combineTypes,
  properties: equal,
  required: (left, right) => (Array.isArray(left) && Array.isArray(right) ? [...new Set([...left, ...right])] : undefined),
  additionalProperties: both,
  propertyNames: both,
  patternProperties: equal,
  dependentRequired: equal,
  items: both,
  prefixItems: equal,
  minimum: larger,
  exclusiveMinimum: larger,
  minLength: larger,
  minItems: larger,
  minProperties: larger,
  maximum: smaller,
  exclusiveMaximum: smaller,
  maxLength: smaller,
  maxItems: smaller,
  maxProperties: smaller,
  multipleOf: equal,
  pattern: equal,
  format: equal,
  uniqueItems: (left, right) => left === true || right === true,
  enum: (left, right) => (Array.isArray(left) && Array.isArray(right) ? shared(left, right) : undefined),
  const: equal,
  anyOf: equal,
  oneOf: equal,
}
const mergeable = new Set(Object.keys(combinations))

function mergeTwo(left: JsonObject, right: JsonObject, pointer: string): JsonObject | false {
  refuseEntangled(left, right, pointer)
  refuseEntangled(right, left, pointer)
  const merged: Record<string, unknown> = { ...left }
  for (const keyword of assertionsOf(right)) {
    const before = left[keyword]
    const combine = combinations[keyword] ?? equal
    merged[keyword] = before === undefined || keyword === 'properties' ? right[keyword] : combine(before, right[keyword])
    if (merged[keyword] === undefined) refuse(pointer, keyword, "is said twice, in ways that can't be followed together")
  }
  const properties = mergeProperties(left, right, pointer)
  if (properties !== undefined) merged.properties = properties
  const nothingLeft = [merged.type, merged.enum].some((list) => Array.isArray(list) && list.length === 0)
  return nothingLeft ? false : merged
}

/** Keywords of which one looks at what the other names. */
function refuseEntangled(left: JsonObject, right: JsonObject, pointer: string): void {
  if (left.patternProperties !== undefined && ['additionalProperties', 'propertyNames'].some((name) => right[name] !== undefined))
    refuse(pointer, 'patternProperties', "can't be combined with additionalProperties of another schema")
  if (left.prefixItems !== undefined && right.items !== undefined && !isDeepStrictEqual(left.prefixItems, right.prefixItems))
    refuse(pointer, 'prefixItems', "can't be combined with items of another schema")
  if (
    left.const !== undefined &&
    right.enum !== undefined &&
    left.enum !== undefined &&
    !isDeepStrictEqual(left.enum, right.enum)
  )
    refuse(pointer, 'enum', "can't be combined with const")
}

/** Each property with what every side says of it: by its name, or by `additionalProperties` where it does not name it. */
function mergeProperties(left: JsonObject, right: JsonObject, pointer: string): JsonObject | undefined {
  if (left.properties === undefined && right.properties === undefined) return undefined
  const [ours, theirs] = [propertiesOf(left, pointer), propertiesOf(right, pointer)]
  const said = (name: string, { named, schema }: { named: JsonObject; schema: JsonObject }) => {
    if (Object.hasOwn(named, name)) return named[name]
    return isMatched(schema, name, pointer) ? true : (schema.additionalProperties ?? true)
  }
  const names = new Set([...Object.keys(ours), ...Object.keys(theirs)])
  return Object.fromEntries(
    [...names].map((name) => {
      const [mine, other] = [said(name, { named: ours, schema: left }), said(name, { named: theirs, schema: right })]
      if (mine === false || other === false) return [name, false]
      return [name, mine === true ? other : other === true ? mine : both(mine, other)]
    }),
  )
}

function isMatched({ patternProperties }: JsonObject, name: string, pointer: string): boolean {
  if (!isJsonObject(patternProperties)) return false
  return Object.keys(patternProperties).some((pattern) => matchesAt(pattern, name, `${pointer}/patternProperties`))
}

function propertiesOf({ properties = {} }: JsonObject, pointer: string): JsonObject {
  return isJsonObject(properties) ? properties : refuse(pointer, 'properties', 'must be an object')
}

/** The types that both allow; an integer is a number. */
function combineTypes(left: unknown, right: unknown): readonly unknown[] | unknown {
  if (isDeepStrictEqual(left, right)) return left
  const [ours, theirs]: ReadonlyArray<readonly unknown[]> = [left, right].map((type) => (Array.isArray(type) ? type : [type]))
  const allows = (types: readonly unknown[] = [], type: unknown) =>
    types.includes(type) || (type === 'integer' && types.includes('number'))
  return [
    ...new Set([...(ours ?? []).filter((type) => allows(theirs, type)), ...(theirs ?? []).filter((type) => allows(ours, type))]),
  ]
}
