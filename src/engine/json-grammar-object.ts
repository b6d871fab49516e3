import { isDeepStrictEqual } from 'node:util'
import {
  between,
  type Containing,
  type Counts,
  comma,
  maxItemsCounted,
  type Part,
  partsExpression,
  readCount,
  segment,
  space,
} from './json-grammar-containers.ts'
import { isJsonObject, type JsonObject, refuse } from './json-grammar-limits.ts'
import { annotations } from './json-grammar-reference.ts'
import { UnsupportedRegex } from './json-grammar-regex.ts'
import { matchesAt } from './json-grammar-regex-match.ts'
import { type Expression, literal, nothing, optional, repeat, sequence } from './json-grammar-rules.ts'
import { patternExpression } from './json-grammar-string.ts'
import { otherKey } from './json-grammar-trie.ts'

/** A property without a name in the schema, where a model may add some. */
type Extra = Readonly<{ key: Expression; value: Expression }>

/** Properties come in the order of the schema; others after them, where they are allowed in so many words. */
export function objectExpression(containing: Containing, schema: JsonObject, pointer: string): Expression {
  const { rules } = containing
  const named = readProperties(schema, pointer)
  const required = readRequired(schema, pointer)
  const all = new Map([...named, ...required.filter((name) => !named.has(name)).map((name) => [name, undefined] as const)])
  const extra = extraProperty(containing, schema, { pointer, names: [...all.keys()] })
  if (all.size > 0 && !allowsAnyName(schema)) refuse(pointer, 'propertyNames', "can't be enforced beside named properties")
  const properties: Part[] = []
  for (const [name, value] of all) {
    const isRequired = required.includes(name)
    const content = named.has(name)
      ? containing.inside(value, `${pointer}/properties/${segment(name)}`)
      : unnamedValue(containing, schema, extra)
    const key = literal(`${JSON.stringify(name)}:`)
    if (content !== undefined)
      properties.push({ content: rules.add('pair', sequence(key, space(rules), content)), required: isRequired })
    else if (isRequired) refuse(pointer, 'required', `needs "${name}", which no value is allowed for`)
  }
  const counts = readCounts(schema, pointer, { properties, hasExtra: extra !== undefined })
  const pair = extra && rules.add('pair', sequence(extra.key, literal(':'), space(rules), extra.value))
  const pairs = pairsExpression(containing, { properties, extra: pair, counts })
  return between(rules, '{', pairs ?? refuse(pointer, 'minProperties', 'makes too many combinations'), '}')
}

function readProperties(schema: JsonObject, pointer: string): ReadonlyMap<string, unknown> {
  const { properties } = schema
  if (properties === undefined) return new Map()
  return isJsonObject(properties) ? new Map(Object.entries(properties)) : refuse(pointer, 'properties', 'must be an object')
}

function readRequired(schema: JsonObject, pointer: string): readonly string[] {
  const { required } = schema
  if (required === undefined) return []
  if (!Array.isArray(required)) return refuse(pointer, 'required', 'must be a list of property names')
  return required.map((name: unknown) =>
    typeof name === 'string' ? name : refuse(pointer, 'required', 'must be a list of property names'),
  )
}

type Named = Readonly<{ pointer: string; names: readonly string[] }>

function extraProperty(containing: Containing, schema: JsonObject, place: Named): Extra | undefined {
  if (schema.patternProperties !== undefined) return patternProperty(containing, schema, place)
  const { pointer, names } = place
  const { additionalProperties = schema.unevaluatedProperties ?? names.length === 0 } = schema
  const value = containing.inside(additionalProperties, `${pointer}/additionalProperties`)
  if (value === undefined) return undefined
  const key = freeKey(containing, schema, place)
  return key && { key, value }
}

/** Keys of one pattern; others are not written, as no schema asks for them. */
function patternProperty({ rules, inside }: Containing, schema: JsonObject, { pointer, names }: Named): Extra | undefined {
  const { patternProperties, properties = {} } = schema
  if (!isJsonObject(patternProperties)) return refuse(pointer, 'patternProperties', 'must be an object')
  const [[pattern, value] = [undefined], ...others] = Object.entries(patternProperties)
  if (pattern === undefined) return undefined
  const place = `${pointer}/patternProperties`
  if (others.length > 0) refuse(pointer, 'patternProperties', "can't be enforced for several patterns, as a key may match two")
  if (!allowsAnyName(schema)) refuse(pointer, 'propertyNames', "can't be enforced beside patternProperties")
  for (const name of names) {
    const own = isJsonObject(properties) && Object.hasOwn(properties, name) ? properties[name] : undefined
    if (matchesAt(pattern, name, `${place}/${segment(pattern)}`) && !isDeepStrictEqual(own, value))
      refuse(place, pattern, `matches the property "${name}", which has another schema`)
  }
  const expression = inside(value, `${place}/${segment(pattern)}`)
  try {
    return expression && { key: patternExpression(rules, pattern), value: expression }
  } catch (error) {
    if (error instanceof UnsupportedRegex) refuse(place, pattern, error.message)
    throw error
  }
}

function allowsAnyName({ propertyNames = true }: JsonObject): boolean {
  if (!isJsonObject(propertyNames)) return propertyNames === true
  return isDeepStrictEqual(
    Object.entries(propertyNames).filter(([keyword]) => !annotations.has(keyword)),
    [['type', 'string']],
  )
}

/** A key that is none of the names, and keeps to `propertyNames`. */
function freeKey({ rules, inside }: Containing, schema: JsonObject, { pointer, names }: Named): Expression | undefined {
  const { propertyNames = true } = schema
  if (allowsAnyName(schema)) return otherKey(rules, names)
  if (propertyNames === false) return undefined
  if (!isJsonObject(propertyNames)) return refuse(pointer, 'propertyNames', 'must be a schema')
  return inside(
    propertyNames.$ref === undefined ? { ...propertyNames, type: 'string' } : propertyNames,
    `${pointer}/propertyNames`,
  )
}

// JSON Schema allows other properties unless it is told not to; a model adds none of its own accord, only required ones.
function unnamedValue({ inside }: Containing, schema: JsonObject, extra: Extra | undefined): Expression | undefined {
  const others = schema.additionalProperties ?? schema.unevaluatedProperties
  return others === undefined || schema.patternProperties !== undefined ? inside(others ?? true, '#') : extra?.value
}

function readCounts(
  schema: JsonObject,
  pointer: string,
  { properties, hasExtra }: { properties: readonly Part[]; hasExtra: boolean },
): Counts {
  const min = readCount(schema, 'minProperties', pointer) ?? 0
  const max = readCount(schema, 'maxProperties', pointer)
  if (max !== undefined && max < min) refuse(pointer, 'maxProperties', 'is less than minProperties')
  const required = properties.filter((property) => property.required).length
  if (max !== undefined && max < required) refuse(pointer, 'maxProperties', 'is less than there are required properties')
  if (min <= required && (max === undefined || (!hasExtra && max >= properties.length))) return { min: 0, max: undefined }
  if (properties.length > 0 && min > properties.length)
    refuse(pointer, 'minProperties', 'is more than there are named properties')
  // Free keys may repeat: one pair makes sure of one property and no more.
  if (properties.length === 0 && min > 1) refuse(pointer, 'minProperties', "can't be enforced above 1 without named properties")
  return { min, max }
}

type Pairs = Readonly<{ properties: readonly Part[]; extra: Expression | undefined; counts: Counts }>

function pairsExpression({ rules }: Containing, { properties, extra, counts }: Pairs): Expression | undefined {
  const isCounted = counts.min > 0 || counts.max !== undefined
  // Where named properties are counted, no others are written.
  if (extra === undefined || (isCounted && properties.length > 0)) return partsExpression(rules, properties, counts)
  const most = counts.max === undefined ? undefined : Math.min(counts.max, maxItemsCounted)
  if (most === 0) return nothing
  const following = rules.add('following', sequence(comma(rules), extra))
  const after = repeat(following, 0, most && most - 1)
  const first = sequence(extra, after)
  if (properties.length === 0) return counts.min === 0 ? optional(first) : first
  return partsExpression(rules, properties, { min: 0, max: undefined, rest: { first: optional(first), after } })
}
