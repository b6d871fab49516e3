import { closeSync, fstatSync, openSync } from 'node:fs'
import { dirname } from 'node:path'
import Sqlite from 'better-sqlite3'
import {
  CompiledQuery,
  type DatabaseConnection,
  type Dialect,
  SqliteDialect,
  type SqliteDialectConfig,
  SqliteDriver,
  type SqliteStatement,
} from 'kysely'
import { LRUCache } from 'lru-cache'
import { AppError } from '../errors.ts'
import { makeFolder } from './make-folder.ts'
import { damagedMessage, toStorageError } from './storage-error.ts'

type SqliteConnection = Sqlite.Database

/** A bigger file is not read whole at each start; its damage shows at the query that meets it. */
const checkedWholeBytes = 64 * 1024 * 1024

/** Opens the file, making it and its folder when missing, readable by this user alone. A damaged file is left as it is. */
export function openSqlite(path: string, busyTimeoutMs: number): SqliteConnection {
  let connection: SqliteConnection | undefined
  try {
    const sizeBytes = claimFile(path)
    connection = new Sqlite(path, { timeout: busyTimeoutMs })
    if (sizeBytes > 0 && sizeBytes <= checkedWholeBytes) checkWhole(connection, path)
    connection.pragma('journal_mode = WAL')
    // FULL: a commit that was answered with success survives a power cut too, for the price of one fsync.
    connection.pragma('synchronous = FULL')
    // Pages (16 MiB): what is written again and again goes into the file less often.
    connection.pragma('wal_autocheckpoint = 4000')
    connection.pragma('foreign_keys = ON')
    connection.pragma('trusted_schema = OFF')
    return connection
  } catch (error) {
    connection?.close()
    throw toStorageError(error, path)
  }
}

/** A connection that cannot write and goes on seeing what is committed now. */
export function openSqliteSnapshot(path: string, busyTimeoutMs: number): SqliteConnection {
  let connection: SqliteConnection | undefined
  try {
    connection = new Sqlite(path, { readonly: true, fileMustExist: true, timeout: busyTimeoutMs })
    connection.pragma('trusted_schema = OFF')
    // The state is fixed by the first read, not by the begin.
    connection.exec('begin; select 1 from sqlite_schema limit 1')
    return connection
  } catch (error) {
    connection?.close()
    throw toStorageError(error, path)
  }
}

export const openSqliteInMemory = (): SqliteConnection => new Sqlite(':memory:')

/** SQLite gives its `-wal` and `-shm` files the mode of the main file, so that mode is set before SQLite comes. */
function claimFile(path: string): number {
  makeFolder(dirname(path), 0o700)
  const file = openSync(path, 'a', 0o600)
  try {
    return fstatSync(file).size
  } finally {
    closeSync(file)
  }
}

function checkWhole(connection: SqliteConnection, path: string): void {
  const verdict = connection.pragma('quick_check(1)', { simple: true })
  if (verdict !== 'ok') throw new AppError('unavailable', damagedMessage(path), { cause: verdict })
}

/** Statements that stay prepared: the texts that a service sends again and again. */
const mostKept = 200

/** What may run while it is prepared (`pragma`), changes what others mean (`alter`), or is long, as many rows make it, is prepared each time. */
const isKept = (sql: string) => sql.length <= 4096 && /^(?:select|insert|update|delete|begin|commit)\b/.test(sql)

/** Kysely's own dialect, but for the start and end of transactions, for statements that stay prepared, and for our errors. */
export function sqliteDialect(connection: SqliteConnection): Dialect {
  const kept = new LRUCache<string, SqliteStatement>({ max: mostKept })
  function prepareOnce(sql: string): SqliteStatement {
    if (!isKept(sql)) return prepare(connection, sql)
    const known = kept.get(sql)
    if (known !== undefined) return known
    const statement = prepare(connection, sql)
    kept.set(sql, statement)
    return statement
  }
  const config: SqliteDialectConfig = { database: { prepare: prepareOnce, close: () => connection.close() } }
  const dialect = new SqliteDialect(config)
  return {
    createDriver: () => new ImmediateSqliteDriver(config, connection),
    createQueryCompiler: () => dialect.createQueryCompiler(),
    createAdapter: () => dialect.createAdapter(),
    createIntrospector: (db) => dialect.createIntrospector(db),
  }
}

class ImmediateSqliteDriver extends SqliteDriver {
  readonly #connection: SqliteConnection

  constructor(config: SqliteDialectConfig, connection: SqliteConnection) {
    super(config)
    this.#connection = connection
  }

  // Immediate: a transaction that reads first and then writes would else fail at once when another process wrote in between.
  override async beginTransaction(connection: DatabaseConnection): Promise<void> {
    await connection.executeQuery(CompiledQuery.raw('begin immediate'))
  }

  // A full disk makes SQLite roll back by itself; a second rollback would hide why.
  override async rollbackTransaction(connection: DatabaseConnection): Promise<void> {
    if (this.#connection.inTransaction) await super.rollbackTransaction(connection)
  }
}

function prepare(connection: SqliteConnection, sql: string): SqliteStatement {
  const statement = explained(() => connection.prepare<unknown[]>(sql))
  return {
    reader: statement.reader,
    all: (parameters) => explained(() => statement.all(parameters)),
    run: (parameters) => explained(() => statement.run(parameters)),
    iterate: (parameters) => explained(() => statement.iterate(parameters)),
  }
}

function explained<T>(work: () => T): T {
  try {
    return work()
  } catch (error) {
    throw toStorageError(error, 'the database')
  }
}
