import { sql } from 'kysely'
import { AppError } from '../../errors.ts'
import { isPostgres } from '../dialect.ts'
import type { Database } from '../tables.ts'
import { fromLine } from './canonical-row.ts'
import type { TableLayout } from './layout.ts'

/** SQLite takes 32,766 values in one statement, PostgreSQL twice as many. */
const valuesPerStatement = 5000

/** Inserts rows in their canonical form. Throws `invalid` for what is none, and `unprocessable` for rows that the database refuses. */
export async function writeRows(db: Database, layout: TableLayout, lines: readonly string[]): Promise<void> {
  const { name, columns } = layout
  const isShared = isPostgres(db)
  const names = sql.join(columns.map((column) => sql.ref(column.name)))
  const rowsPerStatement = Math.max(1, Math.floor(valuesPerStatement / columns.length))
  // Numbers are given by the database else.
  const overriding = isShared ? sql`overriding system value` : sql``
  for (let from = 0; from < lines.length; from += rowsPerStatement) {
    const rows = lines
      .slice(from, from + rowsPerStatement)
      .map((line) => sql`(${sql.join([...fromLine(layout, line, isShared)])})`)
    try {
      await sql`insert into ${sql.table(name)} (${names}) ${overriding} values ${sql.join(rows)}`.execute(db)
    } catch (error) {
      throw error instanceof AppError ? error : refused(name, error)
    }
  }
}

/** Without the database's own words: they quote the row. */
function refused(table: string, cause: unknown): AppError {
  const code = cause instanceof Error && 'code' in cause ? ` (${String(cause.code)})` : ''
  return new AppError('unprocessable', `The database does not take a row of the table "${table}"${code}.`, { cause })
}

/** Makes sure that new rows get higher numbers than this. */
export async function setLastNumber(db: Database, { name, numbers }: TableLayout, last: string): Promise<void> {
  if (numbers === undefined || last === '0') return
  if (isPostgres(db)) {
    await sql`select setval(pg_get_serial_sequence(${name}, ${numbers}), ${last}::bigint)`.execute(db)
    return
  }
  // Where SQLite numbers rows by itself, it goes on from the highest that is there.
  if (numbers === 'rowid') return
  const seq = BigInt(last)
  const { numAffectedRows = 0n } = await sql`update sqlite_sequence set seq = ${seq} where name = ${name}`.execute(db)
  if (numAffectedRows === 0n) await sql`insert into sqlite_sequence (name, seq) values (${name}, ${seq})`.execute(db)
}

/** The first table that holds a row. */
export async function findFilledTable(db: Database, layouts: readonly TableLayout[]): Promise<string | undefined> {
  for (const { name } of layouts) {
    const { rows } = await sql`select 1 from ${sql.table(name)} limit 1`.execute(db)
    if (rows.length > 0) return name
  }
  return undefined
}
