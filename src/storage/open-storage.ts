import { CamelCasePlugin, Kysely } from 'kysely'
import { type Migration, migrate } from './migrations.ts'
import { openSqlite, sqliteDialect } from './sqlite.ts'
import type { Database, Tables } from './tables.ts'

export type StorageOptions = Readonly<{
  /** The database file; it and its folder are made when missing. */
  path: string
  now?: () => number
  /**
   * How long a query waits for another process to finish writing, before `busy`.
   * SQLite runs in this thread, so nothing else happens meanwhile: keep it short.
   */
  busyTimeoutMs?: number
  migrations?: readonly Migration[]
}>

export type Storage = Readonly<{ db: Database; close(): Promise<void> }>

/**
 * Opens the database with its tables up to date. SQLite runs in this thread: keep transactions short.
 * Throws `busy` (locked by another program), `storage_full`, and `unavailable` for what cannot be written, is damaged
 * (the file stays as it was), or belongs to a newer version. Queries throw the same.
 */
export async function openStorage({ path, now = Date.now, busyTimeoutMs = 2000, migrations }: StorageOptions): Promise<Storage> {
  const connection = openSqlite(path, busyTimeoutMs)
  const db = new Kysely<Tables>({ dialect: sqliteDialect(connection), plugins: [new CamelCasePlugin()] })
  try {
    await migrate(db, now, migrations)
  } catch (error) {
    connection.close()
    throw error
  }
  return { db, close: () => db.destroy() }
}
