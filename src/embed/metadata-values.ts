import { type RawBuilder, sql } from 'kysely'
import { isPostgres } from '../storage/dialect.ts'
import type { Database } from '../storage/tables.ts'

export type Condition = RawBuilder<unknown>

/** Where a value stands: the names of fields from outside to inside. */
export type FieldPath = readonly string[]

/** Conditions on one value of metadata. None of them is ever null: what is missing is null in JSON. */
export interface MetadataValues {
  equals(path: FieldPath, value: string | number | boolean | null): Condition
  /** Only values of the bound's kind are let through; texts are compared by code points. */
  compares(path: FieldPath, operator: Condition, bound: number | string): Condition
}

/** Of metadata as `metadataIn` gives it. */
export function metadataValues(db: Database, metadata: RawBuilder<unknown>): MetadataValues {
  return isPostgres(db) ? postgresValues(metadata) : sqliteValues(metadata)
}

/** The metadata in a column as conditions read it. */
export function metadataIn(db: Database, column: RawBuilder<unknown>): RawBuilder<unknown> {
  return isPostgres(db) ? sql`simpleia_metadata(${column})` : column
}

function sqliteValues(metadata: RawBuilder<unknown>): MetadataValues {
  // Metadata is kept as JSON.stringify writes it, so a name looks the same there.
  const placeOf = (path: FieldPath) => `$${path.map((name) => `.${JSON.stringify(name)}`).join('')}`
  const typeAt = (path: FieldPath) => sql`coalesce(json_type(${metadata}, ${placeOf(path)}), 'null')`
  // Whole numbers beyond 2^53 would else be compared with more digits than they were written with.
  const valueAt = (path: FieldPath, like: number | string) =>
    typeof like === 'number'
      ? sql`cast(json_extract(${metadata}, ${placeOf(path)}) as real)`
      : sql`json_extract(${metadata}, ${placeOf(path)})`
  const kinds = (value: number | string) => sql.raw(typeof value === 'number' ? `('integer', 'real')` : `('text')`)
  return {
    equals(path, value) {
      if (value === null || typeof value === 'boolean') return sql`${typeAt(path)} = ${String(value)}`
      return sql`(${typeAt(path)} in ${kinds(value)} and ${valueAt(path, value)} = ${value})`
    },
    compares: (path, operator, bound) =>
      sql`(${typeAt(path)} in ${kinds(bound)} and ${valueAt(path, bound)} ${operator} ${bound})`,
  }
}

function postgresValues(metadata: RawBuilder<unknown>): MetadataValues {
  // Step by step: a path of PostgreSQL's would take a number for a place in a list.
  const valueAt = (path: FieldPath) =>
    sql`coalesce(${metadata}${sql.join(
      path.map((name) => sql` -> ${name}::text`),
      sql``,
    )}, 'null')`
  return {
    equals(path, value) {
      if (value === null) return sql`${valueAt(path)} = 'null'`
      return sql`${valueAt(path)} = to_jsonb(${value}::${typeOf(value)})`
    },
    compares(path, operator, bound) {
      const text = sql`${valueAt(path)} #>> '{}'`
      // Not `and`: nothing says which side of it is looked at first, and a text is no number.
      return typeof bound === 'number'
        ? sql`(case jsonb_typeof(${valueAt(path)}) when 'number' then (${text})::numeric ${operator} ${bound}::numeric else false end)`
        : sql`(case jsonb_typeof(${valueAt(path)}) when 'string' then (${text}) collate "C" ${operator} ${bound}::text else false end)`
    },
  }
}

function typeOf(value: string | number | boolean): RawBuilder<unknown> {
  if (typeof value === 'string') return sql`text`
  return typeof value === 'number' ? sql`numeric` : sql`boolean`
}
