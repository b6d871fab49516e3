import {
  between,
  type Containing,
  type Counts,
  comma,
  maxItemsCounted,
  partsExpression,
  readCount,
} from './json-grammar-containers.ts'
import { isJsonObject, type JsonObject, refuse } from './json-grammar-limits.ts'
import { choice, type Expression, type GrammarRules, literal, nothing, repeat, sequence } from './json-grammar-rules.ts'
import { listScalars } from './json-grammar-values.ts'

// Each of them is a way to go on, and the engine follows all of them for every token it asks about.
const mostDifferent = 64

/** A list with the keywords of its schema. */
export function arrayExpression({ rules, inside }: Containing, given: JsonObject, pointer: string): Expression {
  const schema = withoutItemList(given, pointer)
  const min = readCount(schema, 'minItems', pointer) ?? 0
  const max = readCount(schema, 'maxItems', pointer)
  if (max !== undefined && max < min) refuse(pointer, 'maxItems', 'is less than minItems')
  if (min > maxItemsCounted) refuse(pointer, 'minItems', `is more than ${maxItemsCounted}`)
  if (schema.uniqueItems === true && (max ?? 2) > 1) return differentItems({ rules, inside }, schema, { min, max, pointer })
  const prefix = readPrefix({ rules, inside }, schema, pointer).slice(0, max)
  const items =
    inside(schema.items ?? prefix.length === 0, `${pointer}/items`) ?? unnamedItem({ rules, inside }, schema, min > prefix.length)
  const needed = Math.max(0, min - prefix.length)
  if (items === undefined && needed > 0) refuse(pointer, 'minItems', 'needs items that the schema does not allow')
  const most = max === undefined ? undefined : Math.min(Math.max(0, max - prefix.length), maxItemsCounted)
  const list = listExpression(rules, prefix, items, { min: needed, max: most })
  return between(rules, '[', list, ']')
}

/** The list of schemas in `items` that JSON Schema had before 2020, in its present words. */
function withoutItemList(schema: JsonObject, pointer: string): JsonObject {
  const { items, additionalItems, ...others } = schema
  if (!Array.isArray(items)) return schema
  if (schema.prefixItems !== undefined) refuse(pointer, 'items', 'must be a schema beside prefixItems')
  return { ...others, prefixItems: items, ...(additionalItems === undefined ? {} : { items: additionalItems }) }
}

/** No value twice: few fixed ones that come in their order, as a grammar does not remember what was written. */
function differentItems(
  { rules }: Containing,
  schema: JsonObject,
  { min, max, pointer }: Counts & Readonly<{ pointer: string }>,
): Expression {
  const isPlain = schema.prefixItems === undefined && isJsonObject(schema.items)
  const values = isPlain ? listScalars(schema.items, `${pointer}/items`) : undefined
  if (values === undefined) return refuse(pointer, 'uniqueItems', 'can only be enforced for items with fixed values (enum)')
  const texts = new Set(values.map((value) => JSON.stringify(value)))
  if (texts.size > mostDifferent) refuse(pointer, 'uniqueItems', `can only be enforced for up to ${mostDifferent} values`)
  if (texts.size < min) refuse(pointer, 'minItems', 'is more than there are different items')
  const parts = [...texts].map((text) => ({ content: literal(text), required: false }))
  const list = partsExpression(rules, parts, { min, max: max === undefined || max >= texts.size ? undefined : max })
  return between(rules, '[', list ?? refuse(pointer, 'uniqueItems', 'makes too many combinations'), ']')
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
