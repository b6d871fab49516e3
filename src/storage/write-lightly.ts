import { sql } from 'kysely'
import { isPostgres } from './dialect.ts'
import type { Database } from './tables.ts'

/**
 * A transaction that does not wait for the disk, for what is written with every request. No end of the process undoes it, however
 * sudden; a power cut may, when it comes before the next ordinary transaction.
 */
export async function writeLightly<T>(db: Database, work: (transaction: Database) => Promise<T>): Promise<T> {
  if (isPostgres(db)) {
    return db.transaction().execute(async (transaction) => {
      await sql`set local synchronous_commit = off`.execute(transaction)
      return work(transaction)
    })
  }
  return db.connection().execute(async (connection) => {
    // Nobody else writes through this connection until it is given back.
    await sql`pragma synchronous = normal`.execute(connection)
    try {
      return await connection.transaction().execute(work)
    } finally {
      await sql`pragma synchronous = full`.execute(connection)
    }
  })
}

/** The same for one statement, which in PostgreSQL need not wait for the turn of a transaction. */
export async function writeOneLightly<T>(db: Database, work: (through: Database) => Promise<T>): Promise<T> {
  return isPostgres(db) ? work(db) : writeLightly(db, work)
}
