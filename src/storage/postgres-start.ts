import { sql } from 'kysely'
import { Client } from 'pg'
import { AppError } from '../errors.ts'
import type { Database } from './tables.ts'

/** What our functions are written in, and what compares texts without accents. */
const oldestVersion = 14

/** Throws `unavailable` for a server or a database on which the tables cannot be made as they must be. */
export async function checkServer(db: Database): Promise<void> {
  const { rows } = await sql<{ version: string; encoding: string }>`
    select current_setting('server_version') as version, current_setting('server_encoding') as encoding`.execute(db)
  for (const { version, encoding } of rows) refuseServer(version, encoding)
}

export function refuseServer(version: string, encoding: string): void {
  if (Number.parseInt(version, 10) < oldestVersion)
    throw new AppError('unavailable', `PostgreSQL ${oldestVersion} or newer is needed; this one is ${version}.`)
  if (encoding !== 'UTF8')
    throw new AppError(
      'unavailable',
      `The database has the encoding ${encoding}. Make one with: create database NAME encoding 'UTF8' template template0;`,
    )
}

/**
 * What keeps a database from being opened, for whoever starts a program with it: where it was looked for, and what is wrong there. Requests
 * are never told so much. The password is in no word of it.
 */
export function toStartError(error: unknown, url: string): unknown {
  if (!(error instanceof AppError)) return error
  const code = codeOf(error.cause)
  const found = reasons.find(({ codes }) => codes.some((one) => code.startsWith(one)))
  const says = found === undefined ? error.message : `${found.says} (${code})`
  return new AppError(error.code, `${placeOf(url)}: ${says}`, { cause: error })
}

/** As the library understands it, with what comes from the variables of libpq. */
function placeOf(url: string): string {
  const { host, port, database, user } = new Client({ connectionString: url })
  return `PostgreSQL at ${host}:${port}, database "${database}", user "${user}"`
}

function codeOf(cause: unknown): string {
  const isCoded = cause instanceof Error && 'code' in cause && typeof cause.code === 'string'
  return isCoded ? String(cause.code) : ''
}

export const mayNotMakeTables = 'the user may not make tables there. Make it the owner: alter database NAME owner to USER;'

const reasons: ReadonlyArray<Readonly<{ codes: readonly string[]; says: string }>> = [
  { codes: ['ECONNREFUSED'], says: 'nobody listens there. Start PostgreSQL, or mend host and port in DATABASE_URL.' },
  {
    codes: ['ENOTFOUND', 'EAI_AGAIN'],
    says: 'this machine knows no host of that name. Mend DATABASE_URL, or how names are resolved.',
  },
  {
    codes: ['EHOSTUNREACH', 'ENETUNREACH', 'ETIMEDOUT'],
    says: 'nothing answers. Look at the address, the network and firewalls.',
  },
  { codes: ['28P01'], says: 'the password is not that of the user. Mend DATABASE_URL.' },
  {
    codes: ['28'],
    says: 'there is no such user, or pg_hba.conf lets it not come from here, or not without TLS (?sslmode=verify-full at the end of DATABASE_URL).',
  },
  { codes: ['3D000'], says: 'there is no such database. Make it: create database NAME owner USER;' },
  { codes: ['42501'], says: mayNotMakeTables },
  { codes: ['53300'], says: 'no connection is left. Each replica takes up to 14: raise max_connections of the server.' },
]
