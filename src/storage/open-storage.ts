import { CamelCasePlugin, type Dialect, HandleEmptyInListsPlugin, Kysely, replaceWithNoncontingentExpression } from 'kysely'
import { type Migration, migrate } from './migrations.ts'
import { countConnections, isPostgresUrl, openPostgres, postgresDialect } from './postgres.ts'
import { openSqlite, openSqliteSnapshot, sqliteDialect } from './sqlite.ts'
import type { Database, Tables } from './tables.ts'
import { type ConnectionCounts, type QueryListener, tellQueries } from './watch-queries.ts'

export type StorageOptions = Readonly<{
  /** `postgres://…`, or the path of an SQLite file; that and its folder are made when missing. */
  url: string
  now?: () => number
  /**
   * How long a query waits for another process to finish writing to the SQLite file, before `busy`.
   * SQLite runs in this thread, so nothing else happens meanwhile: keep it short.
   */
  busyTimeoutMs?: number
  migrations?: readonly Migration[]
  /** Told of each statement that has ended. */
  onQuery?: QueryListener
}>

export type Storage = Readonly<{
  db: Database
  /**
   * Reads through a connection of its own that sees the database as it is now, however long the work takes and whatever is written
   * meanwhile. It holds nobody up. Throws as opening does.
   */
  readSnapshot<T>(work: (db: Database) => Promise<T>): Promise<T>
  /** Of PostgreSQL; SQLite has one that is always there. */
  connections(): ConnectionCounts | undefined
  close(): Promise<void>
}>

/**
 * Opens the database with its tables up to date. SQLite runs in this thread, and transactions take turns: keep them short.
 * Throws `busy` (locked by another program), `storage_full`, and `unavailable` for what cannot be reached or written, is damaged
 * (the file stays as it was), or belongs to a newer version. Queries throw the same.
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { url, now = Date.now, busyTimeoutMs = 2000, migrations, onQuery } = options
  const isShared = isPostgresUrl(url)
  const pool = isShared ? openPostgres(url) : undefined
  const db = createDatabase(
    pool === undefined ? sqliteDialect(openSqlite(url, busyTimeoutMs)) : postgresDialect(pool, onQuery),
    onQuery,
  )
  try {
    await migrate(db, now, migrations)
  } catch (error) {
    await db.destroy()
    throw error
  }
  return {
    db,
    readSnapshot: (work) =>
      isShared
        ? db.transaction().setIsolationLevel('repeatable read').setAccessMode('read only').execute(work)
        : readSqliteSnapshot(url, busyTimeoutMs, work),
    connections: () => (pool === undefined ? undefined : countConnections(pool)),
    close: () => db.destroy(),
  }
}

async function readSqliteSnapshot<T>(path: string, busyTimeoutMs: number, work: (db: Database) => Promise<T>): Promise<T> {
  const db = createDatabase(sqliteDialect(openSqliteSnapshot(path, busyTimeoutMs)))
  try {
    return await work(db)
  } finally {
    await db.destroy()
  }
}

function createDatabase(dialect: Dialect, onQuery?: QueryListener): Database {
  // PostgreSQL knows no `in ()`.
  const emptyLists = new HandleEmptyInListsPlugin({ strategy: replaceWithNoncontingentExpression })
  return new Kysely<Tables>({
    dialect,
    plugins: [new CamelCasePlugin(), emptyLists],
    ...(onQuery === undefined ? {} : { log: tellQueries(onQuery) }),
  })
}
