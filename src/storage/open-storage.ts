import { CamelCasePlugin, Kysely } from 'kysely'
import { type Migration, migrate } from './migrations.ts'
import { openSqlite, openSqliteSnapshot, sqliteDialect } from './sqlite.ts'
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

export type Storage = Readonly<{
  db: Database
  /**
   * Reads through a connection of its own that sees the database as it is now, however long the work takes and whatever is written
   * meanwhile. It holds nobody up. Throws as opening does.
   */
  readSnapshot<T>(work: (db: Database) => Promise<T>): Promise<T>
  close(): Promise<void>
}>

/**
 * Opens the database with its tables up to date. SQLite runs in this thread: keep transactions short.
 * Throws `busy` (locked by another program), `storage_full`, and `unavailable` for what cannot be written, is damaged
 * (the file stays as it was), or belongs to a newer version. Queries throw the same.
 */
export async function openStorage({ path, now = Date.now, busyTimeoutMs = 2000, migrations }: StorageOptions): Promise<Storage> {
  const connection = openSqlite(path, busyTimeoutMs)
  const db = createDatabase(connection)
  try {
    await migrate(db, now, migrations)
  } catch (error) {
    connection.close()
    throw error
  }
  return { db, readSnapshot: (work) => readSnapshot(path, busyTimeoutMs, work), close: () => db.destroy() }
}

async function readSnapshot<T>(path: string, busyTimeoutMs: number, work: (db: Database) => Promise<T>): Promise<T> {
  const db = createDatabase(openSqliteSnapshot(path, busyTimeoutMs))
  try {
    return await work(db)
  } finally {
    await db.destroy()
  }
}

function createDatabase(connection: Parameters<typeof sqliteDialect>[0]): Database {
  return new Kysely<Tables>({ dialect: sqliteDialect(connection), plugins: [new CamelCasePlugin()] })
}
