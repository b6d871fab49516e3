import { sql } from 'kysely'
import { isPostgres } from '../src/storage/dialect.ts'
import type { Database } from '../src/storage/tables.ts'

export type Refused = Readonly<{
  table: string
  /** Default: `insert`. */
  event?: string
  /** Only rows of which this holds: `new.state = 'done'`. */
  when?: string
  /** As PostgreSQL says it; default: an error that means nothing else. */
  sqlState?: string
}>

/** Has the database refuse to write such rows, until the function that it gives is called. */
export async function refuseWrites(db: Database, refused: Refused): Promise<() => Promise<void>> {
  const { table, event = 'insert', when, sqlState = 'P0001' } = refused
  const condition = when === undefined ? '' : `when (${when})`
  const run = (statement: string) => sql.raw(statement).execute(db)
  if (!isPostgres(db)) {
    await run(`create trigger refuse before ${event} on ${table} ${condition} begin select raise(abort, 'no room'); end`)
    return async () => void (await run('drop trigger refuse'))
  }
  await run(`create function refuse() returns trigger language plpgsql
    as $$ begin raise exception 'no room' using errcode = '${sqlState}'; end $$`)
  await run(`create trigger refuse before ${event} on ${table} for each row ${condition} execute function refuse()`)
  return async () => void (await run('drop function refuse cascade'))
}

/** Lets no table of SQLite grow, and nothing into this one of PostgreSQL, as a full disk does; until the function that it gives is called. */
export async function fillDisk(db: Database, table: string): Promise<() => Promise<void>> {
  if (isPostgres(db)) return refuseWrites(db, { table, sqlState: '53100' })
  const { rows } = await sql<{ pageCount: number }>`pragma page_count`.execute(db)
  await sql.raw(`pragma max_page_count = ${rows[0]?.pageCount}`).execute(db)
  return async () => void (await sql`pragma max_page_count = 100000`.execute(db))
}

/** Lets nothing be written, as a disk that was made read-only; of PostgreSQL into this table. Until the function that it gives is called. */
export async function makeReadOnly(db: Database, table: string): Promise<() => Promise<void>> {
  if (isPostgres(db)) return refuseWrites(db, { table, sqlState: '25006' })
  await sql`pragma query_only = on`.execute(db)
  return async () => void (await sql`pragma query_only = off`.execute(db))
}
