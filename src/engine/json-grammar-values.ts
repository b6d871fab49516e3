import { isDeepStrictEqual } from 'node:util'
import { typeOfValue } from './json-grammar-exclusion.ts'
import { isJsonObject, type JsonObject, refuse, schemaLimits } from './json-grammar-limits.ts'
import { assertionsOf } from './json-grammar-reference.ts'
import { matchesAt } from './json-grammar-regex-match.ts'
import type { Expression, GrammarRules } from './json-grammar-rules.ts'
import { formats } from './json-grammar-string.ts'
import { anyOfTexts } from './json-grammar-trie.ts'

/** The fixed values of a schema with `const` or `enum` that its other keywords allow. Throws `invalid` where these can't be looked at. */
export function valuesExpression(rules: GrammarRules, schema: JsonObject, pointer: string): Expression {
  const values = listValues(schema, pointer)
  return anyOfTexts(
    rules,
    values.map((value) => JSON.stringify(value)),
  )
}

/** As `valuesExpression`, the values themselves. */
export function listValues(schema: JsonObject, pointer: string): readonly unknown[] {
  const keyword = schema.const === undefined ? 'enum' : 'const'
  const values: unknown = schema.enum ?? [schema.const]
  if (!Array.isArray(values) || values.length === 0) return refuse(pointer, 'enum', 'must be a list of at least one value')
  if (values.length > schemaLimits.enumValues) return refuse(pointer, 'enum', `has more than ${schemaLimits.enumValues} values`)
  const others = assertionsOf(schema).filter((name) => name !== 'const' && name !== 'enum')
  const fitting = values
    .filter((value: unknown) => schema.const === undefined || isDeepStrictEqual(value, schema.const))
    .filter((value) => others.every((name) => fits(value, { keyword: name, schema, pointer, beside: keyword })))
  if (fitting.length === 0) refuse(pointer, keyword, 'has no value that the rest of the schema allows')
  return fitting
}

type Check = Readonly<{ keyword: string; schema: JsonObject; pointer: string; beside: string }>

/** Whether a value keeps to one keyword; keywords that speak of other types of values say nothing of it. */
function fits(value: unknown, { keyword, schema, pointer, beside }: Check): boolean {
  const limit = schema[keyword]
  switch (keyword) {
    case 'type':
      return fitsType(value, limit)
    case 'nullable':
      return true
    case 'minimum':
    case 'maximum':
    case 'exclusiveMinimum':
    case 'exclusiveMaximum':
    case 'multipleOf':
      if (typeof limit !== 'number') return refuse(pointer, keyword, 'must be a number')
      return typeof value !== 'number' || fitsNumber(value, keyword, limit)
    case 'minLength':
    case 'maxLength':
      if (typeof limit !== 'number') return refuse(pointer, keyword, 'must be a whole number from 0')
      return typeof value !== 'string' || (keyword === 'minLength' ? [...value].length >= limit : [...value].length <= limit)
    case 'pattern':
      return typeof value !== 'string' || fitsPattern(value, limit, pointer)
    case 'format':
      return typeof value !== 'string' || fitsFormat(value, limit, pointer)
    default:
      // What speaks of lists and objects says nothing of values that are neither.
      if (!containerKeywords.has(keyword) || (typeof value === 'object' && value !== null))
        return refuse(pointer, keyword, `can't be enforced beside ${beside}`)
      return true
  }
}

const containerKeywords = new Set([
  'additionalProperties',
  'items',
  'maxItems',
  'maxProperties',
  'minItems',
  'minProperties',
  'patternProperties',
  'prefixItems',
  'properties',
  'propertyNames',
  'required',
  'uniqueItems',
])

function fitsType(value: unknown, type: unknown): boolean {
  const types: readonly unknown[] = Array.isArray(type) ? type : [type]
  return types.includes(typeOfValue(value)) || (types.includes('integer') && Number.isInteger(value))
}

function fitsNumber(value: number, keyword: string, limit: number): boolean {
  switch (keyword) {
    case 'minimum':
      return value >= limit
    case 'maximum':
      return value <= limit
    case 'exclusiveMinimum':
      return value > limit
    case 'exclusiveMaximum':
      return value < limit
    default:
      return Number.isInteger(value / limit)
  }
}

function fitsPattern(value: string, pattern: unknown, pointer: string): boolean {
  if (typeof pattern !== 'string') return refuse(pointer, 'pattern', 'must be a string')
  return matchesAt(pattern, value, `${pointer}/pattern`)
}

function fitsFormat(value: string, format: unknown, pointer: string): boolean {
  const pattern = typeof format === 'string' && Object.hasOwn(formats, format) ? formats[format] : undefined
  if (pattern === undefined) return refuse(pointer, 'format', "can't be enforced beside fixed values")
  return matchesAt(pattern, value, `${pointer}/format`)
}

/** The values of an item that has few of them, all scalar: undefined for other schemas. */
export function listScalars(schema: unknown, pointer: string): readonly unknown[] | undefined {
  if (!isJsonObject(schema)) return undefined
  if (schema.type === 'boolean' && assertionsOf(schema).length === 1) return [false, true]
  if (schema.type === 'null' && assertionsOf(schema).length === 1) return [null]
  if (schema.enum === undefined && schema.const === undefined) return undefined
  const values = listValues(schema, pointer)
  return values.every((value) => typeof value !== 'object' || value === null) ? values : undefined
}
