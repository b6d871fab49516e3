import { sql } from 'kysely'
import type { Database } from './tables.ts'

/**
 * A transaction that does not wait for the disk, for what is written with every request. No end of the process undoes it, however
 * sudden; a power cut may, when it comes before the next ordinary transaction.
 */
export async function writeLightly<T>(db: Database, work: (transaction: Database) => Promise<T>): Promise<T> {
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
