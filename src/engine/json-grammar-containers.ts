import { isJsonObject, type JsonObject, refuse } from './json-grammar-limits.ts'
import { choice, type Expression, type GrammarRules, literal, nothing, repeat, sequence } from './json-grammar-rules.ts'
import { otherKey } from './json-grammar-trie.ts'

/** What objects and arrays need of the rest. */
export type Containing = Readonly<{
  rules: GrammarRules
  /** The grammar of a schema inside; undefined where it allows no value. */
  inside: (schema: unknown, pointer: string) => Expression | undefined
}>

const maxItemsCounted = 1000

/** At most one blank: a model that begins to write white space seldom stops. */
export const space = (rules: GrammarRules): Expression =>
  rules.share('space', () => choice([literal(' '), literal('\n'), nothing]))
const comma = (rules: GrammarRules) => sequence(literal(','), space(rules))
const between = (rules: GrammarRules, open: string, content: Expression, close: string) =>
  sequence(literal(open), space(rules), content, space(rules), literal(close))

export function readCount(schema: JsonObject, keyword: string, pointer: string): number | undefined {
  const value = schema[keyword]
  if (value === undefined) return undefined
  return typeof value === 'number' && Number.isInteger(value) && value >= 0
    ? value
    : refuse(pointer, keyword, 'must be a whole number from 0')
}

export const segment = (key: string) => key.replaceAll('~', '~0').replaceAll('/', '~1')

type Property = Readonly<{ pair: Expression; required: boolean }>

/** Properties come in the order of the schema; others after them, where they are allowed in so many words. */
export function objectExpression({ rules, inside }: Containing, schema: JsonObject, pointer: string): Expression {
  const named = readProperties(schema, pointer)
  const required = readRequired(schema, pointer)
  const extra = extraValue({ rules, inside }, schema, pointer, named.size === 0 && required.length === 0)
  const all = new Map([...named, ...required.filter((name) => !named.has(name)).map((name) => [name, undefined] as const)])
  const properties: Property[] = []
  for (const [name, value] of all) {
    const key = literal(`${JSON.stringify(name)}:`)
    const content = named.has(name)
      ? inside(value, `${pointer}/properties/${segment(name)}`)
      : unnamedValue({ rules, inside }, schema, extra)
    const isRequired = required.includes(name)
    if (content !== undefined)
      properties.push({ pair: rules.add('pair', sequence(key, space(rules), content)), required: isRequired })
    else if (isRequired) refuse(pointer, 'required', `needs "${name}", which no value is allowed for`)
  }
  const counts = readCounts(schema, pointer, { properties, hasExtra: extra !== undefined })
  const extraPair = extra && rules.add('pair', sequence(otherKey(rules, [...all.keys()]), literal(':'), space(rules), extra))
  return between(rules, '{', pairsExpression(rules, properties, extraPair, counts), '}')
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

/** What a property without a name in the schema may hold, where a model may add some. */
function extraValue({ inside }: Containing, schema: JsonObject, pointer: string, isOpen: boolean): Expression | undefined {
  const { additionalProperties = isOpen } = schema
  return inside(additionalProperties, `${pointer}/additionalProperties`)
}

// JSON Schema allows other properties unless it is told not to; a model adds none of its own accord, only required ones.
const unnamedValue = ({ inside }: Containing, schema: JsonObject, extra: Expression | undefined) =>
  schema.additionalProperties === undefined ? inside(true, '') : extra

type Counts = Readonly<{ min: number; max: number | undefined }>

function readCounts(
  schema: JsonObject,
  pointer: string,
  { properties, hasExtra }: { properties: readonly Property[]; hasExtra: boolean },
): Counts {
  const min = readCount(schema, 'minProperties', pointer) ?? 0
  const max = readCount(schema, 'maxProperties', pointer)
  const required = properties.filter((property) => property.required).length
  const uncounted = { min: 0, max: undefined }
  if (min <= required && (max === undefined || (!hasExtra && max >= properties.length))) return uncounted
  if (properties.length > 0)
    refuse(pointer, min > required ? 'minProperties' : 'maxProperties', "can't be enforced beside named properties")
  if (max !== undefined && max < min) refuse(pointer, 'maxProperties', 'is less than minProperties')
  // Free keys may repeat: one pair makes sure of one property and no more.
  if (min > 1) refuse(pointer, 'minProperties', "can't be enforced above 1")
  return { min, max }
}

function pairsExpression(
  rules: GrammarRules,
  properties: readonly Property[],
  extra: Expression | undefined,
  { min, max }: Counts,
): Expression {
  const following = extra && rules.add('following', sequence(comma(rules), extra))
  const most = max === undefined ? undefined : Math.min(max, maxItemsCounted)
  // What may follow when a pair is already there, and when none is.
  let after: Expression = following ? repeat(following, 0, most && most - 1) : nothing
  let first: Expression = extra && most !== 0 ? sequence(extra, after) : nothing
  if (extra && most !== 0 && min === 0) first = choice([first, nothing])
  for (const { pair, required } of properties.toReversed()) {
    const [nextAfter, nextFirst] = [after, first]
    const here = rules.add('after', nextAfter)
    after = sequence(comma(rules), pair, here)
    first = sequence(pair, here)
    if (!required) {
      after = choice([after, here])
      first = choice([first, rules.add('first', nextFirst)])
    }
  }
  return first
}

export function arrayExpression({ rules, inside }: Containing, schema: JsonObject, pointer: string): Expression {
  const min = readCount(schema, 'minItems', pointer) ?? 0
  const max = readCount(schema, 'maxItems', pointer)
  if (max !== undefined && max < min) refuse(pointer, 'maxItems', 'is less than minItems')
  if (min > maxItemsCounted) refuse(pointer, 'minItems', `is more than ${maxItemsCounted}`)
  if (Array.isArray(schema.items)) refuse(pointer, 'items', 'must be a schema; for a list of schemas use prefixItems')
  const prefix = readPrefix({ rules, inside }, schema, pointer).slice(0, max)
  const items =
    inside(schema.items ?? prefix.length === 0, `${pointer}/items`) ?? unnamedItem({ rules, inside }, schema, min > prefix.length)
  const needed = Math.max(0, min - prefix.length)
  if (items === undefined && needed > 0) refuse(pointer, 'minItems', 'needs items that the schema does not allow')
  const most = max === undefined ? undefined : Math.min(Math.max(0, max - prefix.length), maxItemsCounted)
  const list = listExpression(rules, prefix, items, { min: needed, max: most })
  return between(rules, '[', list, ']')
}

const unnamedItem = ({ inside }: Containing, schema: JsonObject, isNeeded: boolean) =>
  isNeeded && schema.items === undefined ? inside(true, '') : undefined

function readPrefix({ inside }: Containing, schema: JsonObject, pointer: string): readonly Expression[] {
  const { prefixItems } = schema
  if (prefixItems === undefined) return []
  if (!Array.isArray(prefixItems)) return refuse(pointer, 'prefixItems', 'must be a list of schemas')
  return prefixItems.map(
    (item: unknown, place) =>
      inside(item, `${pointer}/prefixItems/${place}`) ?? refuse(`${pointer}/prefixItems`, String(place), 'allows no value'),
  )
}

function listExpression(
  rules: GrammarRules,
  prefix: readonly Expression[],
  items: Expression | undefined,
  { min, max }: Counts,
): Expression {
  const start = prefix.flatMap((item, place) => (place === 0 ? [item] : [comma(rules), item]))
  if (items === undefined || max === 0) return sequence(...start)
  const item = rules.add('item', items)
  const following = rules.add('following', sequence(comma(rules), item))
  if (prefix.length > 0) return sequence(...start, repeat(following, min, max))
  const list = sequence(item, repeat(following, Math.max(0, min - 1), max === undefined ? undefined : max - 1))
  return min === 0 ? choice([list, nothing]) : list
}
