import { CamelCasePlugin, type Dialect, HandleEmptyInListsPlugin, Kysely, replaceWithNoncontingentExpression, sql } from 'kysely'
import { migrations as allMigrations, type Migration, migrate } from './migrations.ts'
import { countConnections, isPostgresUrl, openPostgres, postgresDialect } from './postgres.ts'
import { checkServer, toStartError } from './postgres-start.ts'
import { openSqlite, openSqliteInMemory, openSqliteSnapshot, sqliteDialect } from './sqlite.ts'
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
  /** How long a statement may take in PostgreSQL before it is given up. */
  queryTimeoutMs?: number
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
 * (the file stays as it was), or belongs to a newer version. The message says where the database was looked for; queries throw the same
 * without it.
 */
export async function openStorage(options: StorageOptions): Promise<Storage> {
  const { url, now = Date.now, busyTimeoutMs = 2000, queryTimeoutMs, migrations, onQuery } = options
  const pool = isPostgresUrl(url) ? openPostgres(url) : undefined
  const dialect =
    pool === undefined ? sqliteDialect(openSqlite(url, busyTimeoutMs)) : postgresDialect(pool, { queryTimeoutMs, onQuery })
  const db = createDatabase(dialect, onQuery)
  try {
    if (pool !== undefined) await checkServer(db)
    await migrate(db, now, migrations)
  } catch (error) {
    await db.destroy()
    throw pool === undefined ? error : toStartError(error, url)
  }
  return {
    db,
    readSnapshot: (work) => (pool === undefined ? readSqliteSnapshot(url, busyTimeoutMs, work) : readPostgresSnapshot(db, work)),
    connections: () => (pool === undefined ? undefined : countConnections(pool)),
    close: () => db.destroy(),
  }
}

function readPostgresSnapshot<T>(db: Database, work: (db: Database) => Promise<T>): Promise<T> {
  return db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (snapshot) => {
      // The state is fixed by the first query, not by the begin.
      await sql`select 1`.execute(snapshot)
      return work(snapshot)
    })
}

async function readSqliteSnapshot<T>(path: string, busyTimeoutMs: number, work: (db: Database) => Promise<T>): Promise<T> {
  const db = createDatabase(sqliteDialect(openSqliteSnapshot(path, busyTimeoutMs)))
  try {
    return await work(db)
  } finally {
    await db.destroy()
  }
}

/** A database that is in memory alone and has all tables, and nothing in them. */
export async function openInMemory(list: readonly Migration[] = allMigrations): Promise<Pick<Storage, 'db' | 'close'>> {
  const db = createDatabase(sqliteDialect(openSqliteInMemory()))
  await migrate(db, Date.now, list)
  return { db, close: () => db.destroy() }
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
