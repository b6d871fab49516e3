import { createHash } from 'node:crypto'
import { Client } from 'pg'

/** Has all tables, and nothing in them. */
export const templateDatabase = 'simpleia_template'

/** The address of another database of the same server. */
export function urlOf(serverUrl: string, database: string): string {
  return Object.assign(new URL(serverUrl), { pathname: `/${database}` }).href
}

/** Gives `work` a connection to the server itself. */
export async function askServer<T>(serverUrl: string, work: (client: Client) => Promise<T>): Promise<T> {
  const client = new Client({ connectionString: serverUrl })
  await client.connect()
  try {
    return await work(client)
  } finally {
    await client.end()
  }
}

/** The files of one worker come one after the other, and each has this module anew: what an earlier one has left can go. */
const prefix = `w${process.env.VITEST_POOL_ID ?? '0'}_`

/** The server of the project `postgres`. What starts it tells all projects of one run where it is, and only that project is to use it. */
const server = process.env.TEST_ON_POSTGRES === undefined ? undefined : process.env.TEST_POSTGRES_URL

/** Whether the test runs on PostgreSQL. */
export const onPostgres = server !== undefined

let listed: Promise<void> | undefined

/**
 * Where a test keeps the database that it calls by the path of a file: that file, or in the project `postgres` a database for it, with all
 * tables. The same path is the same database; an address is what it is.
 */
export async function databaseAt(path: string): Promise<string> {
  if (server === undefined || path.startsWith('postgres://')) return path
  listed ??= sweep(server)
  await listed
  const name = `${prefix}${createHash('sha256').update(path).digest('hex').slice(0, 24)}`
  await askServer(server, async (client) => {
    const { rowCount } = await client.query('select 1 from pg_database where datname = $1', [name])
    if (rowCount === 0) await client.query(`create database ${name} template ${templateDatabase} strategy file_copy`)
  })
  return urlOf(server, name)
}

/** Resolves once it is known what is to go. It goes meanwhile: a file with many tests has left many. */
async function sweep(server: string): Promise<void> {
  const { rows } = await askServer(server, (client) =>
    client.query<{ datname: string }>('select datname from pg_database where starts_with(datname, $1)', [prefix]),
  )
  const drop = async (client: Client) => {
    for (const { datname } of rows) await client.query(`drop database if exists ${datname} with (force)`)
  }
  // What is cut off by the end of this file goes with the next one.
  void askServer(server, drop).catch(() => {})
}
