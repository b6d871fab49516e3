import { type RawBuilder, sql } from 'kysely'
import { isJsonObject } from '../engine/json-object.ts'
import { refuse } from './storable.ts'

type Value = string | number | boolean | null

/**
 * What the metadata of a passage must be, all of it: a value (or one of several values) for each field, or bounds. A field of an object
 * inside the metadata is named with dots: "author.name". Kinds count: 1 is not true, and not "1". A field that is missing is null, and
 * no bound lets it through. Texts are compared by their characters, so times in ISO 8601 are in order.
 */
export type MetadataFilter = Readonly<
  Record<
    string,
    | Value
    | readonly Value[]
    | Readonly<{
        eq?: Value
        ne?: Value
        in?: readonly Value[]
        gt?: number | string
        gte?: number | string
        lt?: number | string
        lte?: number | string
      }>
  >
>

const bounds = { gt: sql.raw('>'), gte: sql.raw('>='), lt: sql.raw('<'), lte: sql.raw('<=') } as const
const operators = ['eq', 'ne', 'in', 'gt', 'gte', 'lt', 'lte'] as const
const expectedValue = 'a text, number, truth value or null'
const expectedCondition = `${expectedValue}, a list of them, or an object with some of ${operators.join(', ')}`
const mostFields = 32
const mostValues = 500
const deepestField = 32

type Condition = RawBuilder<unknown>

/**
 * The filter as a condition on the JSON in `column`. Fields and values are bound, never part of the statement.
 * Throws `invalid` for whatever is not a filter, naming the field.
 */
export function toCondition(filter: unknown, column: RawBuilder<unknown>): Condition {
  if (!isJsonObject(filter)) refuse('filter', 'an object of fields', kindOf(filter))
  const fields = Object.entries(filter)
  if (fields.length > mostFields) refuse('filter', `an object of at most ${mostFields} fields`, `one of ${fields.length}`)
  return all(fields.map(([field, condition]) => fieldCondition(column, field, condition)))
}

/** A filter that came from outside. Throws `invalid` for whatever is not one, naming the field. */
export function readFilter(given: unknown): MetadataFilter {
  return isFilter(given) ? given : refuse('filter', 'a filter', kindOf(given))
}

function isFilter(given: unknown): given is MetadataFilter {
  toCondition(given, sql`metadata`)
  return true
}

function fieldCondition(column: RawBuilder<unknown>, field: string, condition: unknown): Condition {
  const name = `filter.${field.slice(0, 100)}`
  const paths = pathsOf(field, name)
  const equals = (value: unknown, at: string) => equalTo(column, paths, readValue(value, at))
  const oneOf = (values: unknown, at: string) => {
    if (!Array.isArray(values)) refuse(at, 'a list of values', kindOf(values))
    if (values.length > mostValues) refuse(at, `a list of at most ${mostValues} values`, `one of ${values.length}`)
    return any(values.map((value, index) => equals(value, `${at}.${index}`)))
  }
  if (Array.isArray(condition)) return oneOf(condition, name)
  if (!isJsonObject(condition)) return equals(condition, name)
  const given = Object.entries(condition)
  if (given.length === 0) refuse(name, expectedCondition, 'an empty object')
  return all(
    given.map(([operator, value]) => {
      const at = `${name}.${operator.slice(0, 100)}`
      switch (operator) {
        case 'eq':
          return equals(value, at)
        case 'ne':
          return sql`not ${equals(value, at)}`
        case 'in':
          return oneOf(value, at)
        case 'gt':
        case 'gte':
        case 'lt':
        case 'lte':
          return bounded(column, paths, bounds[operator], readBound(value, at))
        default:
          return refuse(at, `one of ${operators.join(', ')}`, `${JSON.stringify(operator.slice(0, 100))}, which is no operator`)
      }
    }),
  )
}

/** Ways to read a field, as JSON paths: inside objects, and as a name that has dots itself. */
function pathsOf(field: string, name: string): readonly string[] {
  const parts = field.split('.')
  if (parts.length > deepestField) refuse(name, `a field of at most ${deepestField} levels`, `one of ${parts.length}`)
  const nested = `$${parts.map(quote).join('')}`
  return parts.length === 1 ? [nested] : [nested, `$${quote(field)}`]
}

// Metadata is kept as JSON.stringify writes it, so a name looks the same there.
const quote = (name: string) => `.${JSON.stringify(name)}`

function equalTo(column: RawBuilder<unknown>, paths: readonly string[], value: Value): Condition {
  if (value === null) return all(paths.map((path) => sql`coalesce(json_type(${column}, ${path}), 'null') = 'null'`))
  return any(
    paths.map((path) => {
      const type = sql`coalesce(json_type(${column}, ${path}), 'null')`
      if (typeof value === 'boolean') return sql`${type} = ${String(value)}`
      const extracted = sql`json_extract(${column}, ${path})`
      return typeof value === 'number'
        ? sql`(${type} in ('integer', 'real') and ${extracted} = ${value})`
        : sql`(${type} = 'text' and ${extracted} = ${value})`
    }),
  )
}

function bounded(column: RawBuilder<unknown>, paths: readonly string[], operator: Condition, bound: number | string): Condition {
  const types = typeof bound === 'number' ? sql.raw(`('integer', 'real')`) : sql.raw(`('text')`)
  return any(
    paths.map((path) => {
      const type = sql`coalesce(json_type(${column}, ${path}), 'null')`
      return sql`(${type} in ${types} and json_extract(${column}, ${path}) ${operator} ${bound})`
    }),
  )
}

const all = (conditions: readonly Condition[]) => join(conditions, ' and ', 'true')
const any = (conditions: readonly Condition[]) => join(conditions, ' or ', 'false')

function join(conditions: readonly Condition[], by: string, none: string): Condition {
  if (conditions.length === 0) return sql.raw(none)
  return sql`(${sql.join(conditions, sql.raw(by))})`
}

function readValue(value: unknown, at: string): Value {
  if (value === null || typeof value === 'boolean') return value
  if (typeof value === 'number' && Number.isFinite(value)) return value
  if (typeof value === 'string' && value.isWellFormed()) return value
  return refuse(at, expectedValue, kindOf(value))
}

function readBound(value: unknown, at: string): number | string {
  const read = readValue(value, at)
  return typeof read === 'number' || typeof read === 'string' ? read : refuse(at, 'a number or a text', kindOf(value))
}

function kindOf(value: unknown): string {
  if (value === null) return 'null'
  if (Array.isArray(value)) return 'a list'
  return typeof value === 'object' ? 'an object' : `a ${typeof value}`
}
