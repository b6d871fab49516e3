import { existsSync, statSync } from 'node:fs'
import { Client } from 'pg'
import { AppError } from '../errors.ts'
import { migrations } from './migrations.ts'
import { isPostgresUrl } from './postgres.ts'
import { toPostgresError } from './postgres-error.ts'
import { needsVector } from './postgres-search.ts'
import { mayNotMakeTables, refuseServer, toStartError } from './postgres-start.ts'
import { openSqliteSnapshot } from './sqlite.ts'
import { damagedMessage, toStorageError } from './storage-error.ts'

export type DatabaseFacts = Readonly<{
  /** Such as "PostgreSQL 16.2 with pgvector 0.8.5". */
  name: string
  /** `none`: the first start makes the tables; `older`: the next one changes them; `newer`: only a newer program may have them. */
  tables: 'none' | 'older' | 'current' | 'newer'
  /** By how much its clock is ahead of this machine's; undefined where there is only one clock. */
  aheadMs?: number
  /** Connections that are left to users who may not do everything. */
  connectionsLeft?: number
}>

/** Looks at a database as it is, and changes nothing. Throws as `openStorage` does. */
export async function lookAtDatabase(url: string): Promise<DatabaseFacts> {
  return isPostgresUrl(url) ? lookAtPostgres(url) : lookAtSqlite(url)
}

function lookAtSqlite(path: string): DatabaseFacts {
  const name = 'SQLite'
  if (!existsSync(path) || statSync(path).size === 0) return { name, tables: 'none' }
  const connection = openSqliteSnapshot(path, 2000)
  try {
    if (connection.pragma('quick_check(1)', { simple: true }) !== 'ok') throw new AppError('unavailable', damagedMessage(path))
    const isThere = connection.prepare("select 1 from sqlite_schema where name = 'schema_migrations'").get() !== undefined
    if (!isThere) return { name, tables: 'none' }
    const rows = connection.prepare<[], { id: string }>('select id from schema_migrations').all()
    return { name, tables: ageOf(rows.map(({ id }) => id)) }
  } catch (error) {
    throw toStorageError(error, path)
  } finally {
    connection.close()
  }
}

type Server = Readonly<{
  version: string
  encoding: string
  vector: string | null
  available: string | null
  mayCreateVector: boolean
  mayMakeTables: boolean
  now: number
  left: number
  hasTables: boolean
}>

const asked = `select current_setting('server_version') as version, current_setting('server_encoding') as encoding,
  (select extversion from pg_extension where extname = 'vector') as vector,
  (select default_version from pg_available_extensions where name = 'vector') as available,
  coalesce((select rolsuper from pg_roles where rolname = current_user), false) or exists (
    select 1 from pg_available_extension_versions where name = 'vector' and trusted) as "mayCreateVector",
  coalesce(has_schema_privilege(current_schema(), 'create'), false) as "mayMakeTables",
  extract(epoch from clock_timestamp())::float8 * 1000 as now,
  (current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
    - (select count(*) from pg_stat_activity where backend_type = 'client backend') + 1)::int as left,
  to_regclass('schema_migrations') is not null as "hasTables"`

async function lookAtPostgres(url: string): Promise<DatabaseFacts> {
  const client = new Client({ connectionString: url, connectionTimeoutMillis: 5000, query_timeout: 5000 })
  client.on('error', () => {})
  try {
    await client.connect()
    const askedMs = Date.now()
    const { rows } = await client.query<Server>(asked)
    const hereMs = (askedMs + Date.now()) / 2
    const [server] = rows
    if (server === undefined) throw new Error('The database has answered nothing.')
    const { version, encoding, vector, available, now, left } = server
    refuseServer(version, encoding)
    refuseVector(server)
    if (!server.hasTables && !server.mayMakeTables) throw new AppError('unavailable', mayNotMakeTables)
    const applied = server.hasTables ? (await client.query<{ id: string }>('select id from schema_migrations')).rows : []
    return {
      name: `PostgreSQL ${version.split(' ')[0]}, pgvector ${vector ?? available}`,
      tables: ageOf(applied.map(({ id }) => id)),
      aheadMs: now - hereMs,
      connectionsLeft: left,
    }
  } catch (error) {
    throw toStartError(toPostgresError(error), url)
  } finally {
    await client.end().catch(() => {})
  }
}

function refuseVector({ vector, available, mayCreateVector }: Server): void {
  const [major = 0, minor = 0] = (vector ?? available ?? '').split('.').map(Number)
  const isNew = major > 0 || minor >= 8
  if (isNew && (vector !== null || mayCreateVector)) return
  throw new AppError('unavailable', needsVector(vector === null ? 'create extension vector' : 'alter extension vector update'))
}

function ageOf(applied: readonly string[]): DatabaseFacts['tables'] {
  if (applied.length === 0) return 'none'
  const known = migrations.map(({ id }) => id)
  if (applied.some((id) => !known.includes(id))) return 'newer'
  return applied.length < known.length ? 'older' : 'current'
}
