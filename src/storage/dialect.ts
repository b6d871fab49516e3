import { PostgresAdapter, type RawBuilder, sql } from 'kysely'
import type { Database } from './tables.ts'

/*
 * What the two databases say differently. A query that both understand needs nothing of this; one that only fits one of them is written
 * beside its counterpart, where it is asked.
 */

/** Whether it is PostgreSQL; else it is SQLite. */
export const isPostgres = (db: Database): boolean => db.getExecutor().adapter instanceof PostgresAdapter

/** The text at a place of a JSON text, such as `['0', 'text']`; null where there is none. */
export function jsonText(db: Database, json: RawBuilder<unknown>, path: readonly (string | number)[]): RawBuilder<string | null> {
  if (isPostgres(db)) return sql`(${json}::json #>> ${`{${path.join(',')}}`}::text[])`
  const place = path.map((step) => (typeof step === 'number' ? `[${step}]` : `.${step}`)).join('')
  return sql`json_extract(${json}, ${`$${place}`})`
}

/** A JSON array, as a text, of the values of a group. `what` may end in an order (`id order by number`). */
export function jsonGroup(db: Database, what: RawBuilder<unknown>): RawBuilder<string> {
  return isPostgres(db) ? sql`coalesce(json_agg(${what}), '[]')` : sql`json_group_array(${what})`
}

/** The values of a JSON array that is kept as a text, as the rows of a table with the column `value`. */
export function jsonValues(db: Database, json: RawBuilder<unknown>): RawBuilder<unknown> {
  return isPostgres(db) ? sql`json_array_elements_text(${json}::json) as each(value)` : sql`json_each(${json})`
}
