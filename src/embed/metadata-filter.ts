import { type RawBuilder, sql } from 'kysely'
import { isJsonObject } from '../engine/json-object.ts'
import type { Database } from '../storage/tables.ts'
import { type Condition, type FieldPath, type MetadataValues, metadataValues } from './metadata-values.ts'
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

/**
 * The filter as a condition on metadata as `metadataIn` gives it. Fields and values are bound, never part of the statement.
 * Throws `invalid` for whatever is not a filter, naming the field.
 */
export function toCondition(db: Database, filter: unknown, metadata: RawBuilder<unknown>): Condition {
  return conditionOn(metadataValues(db, metadata), filter)
}

/** A filter that came from outside. Throws `invalid` for whatever is not one, naming the field. */
export function readFilter(given: unknown): MetadataFilter {
  return isFilter(given) ? given : refuse('filter', 'a filter', kindOf(given))
}

function isFilter(given: unknown): given is MetadataFilter {
  const nothing = () => sql``
  conditionOn({ equals: nothing, compares: nothing }, given)
  return true
}

function conditionOn(values: MetadataValues, filter: unknown): Condition {
  if (!isJsonObject(filter)) refuse('filter', 'an object of fields', kindOf(filter))
  const fields = Object.entries(filter)
  if (fields.length > mostFields) refuse('filter', `an object of at most ${mostFields} fields`, `one of ${fields.length}`)
  return all(fields.map(([field, condition]) => fieldCondition(values, field, condition)))
}

function fieldCondition(values: MetadataValues, field: string, condition: unknown): Condition {
  const name = `filter.${field.slice(0, 100)}`
  const paths = pathsOf(field, name)
  const equals = (value: unknown, at: string) => equalTo(values, paths, readValue(value, at))
  const oneOf = (list: unknown, at: string) => {
    if (!Array.isArray(list)) refuse(at, 'a list of values', kindOf(list))
    if (list.length > mostValues) refuse(at, `a list of at most ${mostValues} values`, `one of ${list.length}`)
    return any(list.map((value, index) => equals(value, `${at}.${index}`)))
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
        case 'lte': {
          const bound = readBound(value, at)
          return any(paths.map((path) => values.compares(path, bounds[operator], bound)))
        }
        default:
          return refuse(at, `one of ${operators.join(', ')}`, `${JSON.stringify(operator.slice(0, 100))}, which is no operator`)
      }
    }),
  )
}

/** Ways to read a field: inside objects, and as a name that has dots itself. */
function pathsOf(field: string, name: string): readonly FieldPath[] {
  const parts = field.split('.')
  if (parts.length > deepestField) refuse(name, `a field of at most ${deepestField} levels`, `one of ${parts.length}`)
  return parts.length === 1 ? [parts] : [parts, [field]]
}

function equalTo(values: MetadataValues, paths: readonly FieldPath[], value: Value): Condition {
  const equal = paths.map((path) => values.equals(path, value))
  return value === null ? all(equal) : any(equal)
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
