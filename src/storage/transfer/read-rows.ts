import { sql } from 'kysely'
import { isPostgres } from '../dialect.ts'
import type { Database } from '../tables.ts'
import { toLine } from './canonical-row.ts'
import type { TableLayout } from './layout.ts'

const rowsPerPiece = 200

/** All rows in their canonical form, by rising key, some at a time. `db`: a snapshot, else what changes meanwhile is half there. */
export async function* readRows(db: Database, layout: TableLayout): AsyncGenerator<readonly string[]> {
  const { columns, key } = layout
  // As text, since a number of JavaScript holds 53 bits.
  const asked = columns.map(({ name, kind }) => (kind === 'integer' ? sql`cast(${sql.ref(name)} as text)` : sql.ref(name)))
  const named = asked.map((column, index) => sql`${column} as ${sql.ref(`c${index}`)}`)
  const keyColumns = sql.join(key.map((name) => sql.ref(name)))
  const keyPlaces = key.map((name) => columns.findIndex((column) => column.name === name))
  const toKey = ({ values }: { values: readonly unknown[] }) =>
    keyPlaces.map((place) =>
      columns[place]?.kind === 'integer' && !isPostgres(db) ? BigInt(String(values[place])) : values[place],
    )
  for (let after: readonly unknown[] | undefined; ; ) {
    const behind = after === undefined ? sql`1 = 1` : sql`(${keyColumns}) > (${sql.join(after)})`
    const { rows } = await sql<Readonly<Record<string, unknown>>>`select ${sql.join(named)} from ${sql.table(layout.name)}
      where ${behind} order by ${keyColumns} limit ${sql.lit(rowsPerPiece)}`.execute(db)
    const read = rows.map((row) => ({ values: columns.map((_, index) => row[`c${index}`]) }))
    if (read.length > 0) yield read.map(({ values }) => toLine(layout, values))
    const last = read.at(-1)
    if (last === undefined || read.length < rowsPerPiece) return
    after = toKey(last)
  }
}

/** The highest number that the database has given to a row, as digits; 0: none yet. */
export async function readLastNumber(db: Database, { name, numbers }: TableLayout): Promise<string> {
  if (numbers === undefined) return '0'
  const given = isPostgres(db)
    ? sql<Last>`select coalesce(pg_sequence_last_value(pg_get_serial_sequence(${name}, ${numbers})::regclass), 0)::text as last`
    : sql<Last>`select cast(coalesce(max(seq), 0) as text) as last from sqlite_sequence where name = ${name}`
  const highest = sql<Last>`select cast(coalesce(max(${sql.ref(numbers)}), 0) as text) as last from ${sql.table(name)}`
  let last = 0n
  for (const asked of [given, highest]) {
    const number = BigInt((await asked.execute(db)).rows[0]?.last ?? 0)
    if (number > last) last = number
  }
  return String(last)
}

type Last = { last: string }
