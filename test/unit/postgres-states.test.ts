import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { resolve } from 'node:path'
import { sql } from 'kysely'
import { DatabaseError } from 'pg'
import { afterEach, describe, expect, test } from 'vitest'
import { lookAtDatabase } from '../../src/storage/look-at-database.ts'
import { migrations } from '../../src/storage/migrations.ts'
import { openStorage, type Storage, type StorageOptions } from '../../src/storage/open-storage.ts'
import { toPostgresError } from '../../src/storage/postgres-error.ts'
import { refuseServer } from '../../src/storage/postgres-start.ts'
import { failureOf } from '../failure-of.ts'
import { closeOpened, openToClose } from '../opened-storages.ts'
import { askServer, urlOf } from '../postgres/database-at.ts'

const server = process.env.TEST_POSTGRES_URL ?? ''
let names = 0

afterEach(async () => {
  await closeOpened()
})

const run = (statement: string, database?: string) =>
  askServer(database === undefined ? server : urlOf(server, database), (client) => client.query(statement))

/** An empty database, without tables. */
async function createDatabase(): Promise<Readonly<{ name: string; url: string }>> {
  names += 1
  const name = `states_${process.pid}_${names}`
  await run(`create database ${name}`)
  return { name, url: urlOf(server, name) }
}

async function createRole(attributes: string): Promise<string> {
  names += 1
  const name = `role_${process.pid}_${names}`
  await run(`create role ${name} ${attributes}`)
  return name
}

const as = (url: string, username: string, password = '') => Object.assign(new URL(url), { username, password }).href

const open = (url: string, more: Partial<StorageOptions> = {}) => openToClose({ url, ...more })

const addRow = (db: Storage['db'], id: string) =>
  db.insertInto('revokedTokens').values({ tokenId: id, expiresAt: '2026-01-01T00:00:00.000Z' }).execute()

describe('at the start', () => {
  test('a database that cannot be reached is told with its place, and without its password', async () => {
    const error = await failureOf(open('postgres://ana:canary-password@127.0.0.1:1/simpleia'))
    expect(error.code).toBe('unavailable')
    expect(error.message).toMatch(
      /^PostgreSQL at 127\.0\.0\.1:1, database "simpleia", user "ana": nobody listens .*\(ECONNREFUSED\)$/,
    )
    expect((await failureOf(open('postgres://ana@no-such-host.invalid/simpleia'))).message).toMatch(/no host of that name/)
  })

  test('a wrong password, an unknown user and a database that is not there are told apart, without a password', async () => {
    const { url } = await createDatabase()
    const role = await createRole("login password 'the right one'")
    const folder = (await run('show data_directory')).rows[0].data_directory
    const rules = [`host all ${role} 127.0.0.1/32 scram-sha-256`, 'host all all 127.0.0.1/32 trust']
    await run(`copy (values ${rules.map((rule) => `('${rule}')`).join(',')}) to '${folder}/pg_hba.conf'`)
    await run('select pg_reload_conf()')
    const wrong = [
      [as(url, role, 'canary-password'), /the password is not that of the user.*\(28P01\)$/],
      [as(url, role), /asks for a password, and none is given/],
      [as(url, 'no_such_user'), /there is no such user.*\(28000\)$/],
      [urlOf(server, 'no_such_database'), /"no_such_database".*there is no such database.*\(3D000\)$/],
      [`${url}?sslmode=verify-full`, /not as safe as it was asked for/],
    ] as const
    for (const [one, says] of wrong) {
      const error = await failureOf(open(one))
      expect(error).toMatchObject({ code: 'unavailable', message: expect.stringMatching(says) })
      expect(error.message).not.toContain('canary')
      // As `doctor` says it.
      expect((await failureOf(lookAtDatabase(one))).message).toBe(error.message)
    }
  })

  test('a database without pgvector, and without the right to create it, says what a superuser has to do', async () => {
    const { name, url } = await createDatabase()
    const role = await createRole('login')
    await run(`grant create on schema public to ${role}`, name)
    const error = await failureOf(open(as(url, role)))
    expect(error).toMatchObject({ code: 'unavailable', message: expect.stringContaining('create extension vector;') })
    expect((await failureOf(lookAtDatabase(as(url, role)))).message).toBe(error.message)
    await run('create extension vector', name)
    expect(await lookAtDatabase(as(url, role))).toMatchObject({ name: expect.stringContaining('pgvector 0.8') })
    await addRow((await open(as(url, role))).db, 'first')
  })

  test('a user who may create nothing is told to be given rights', async () => {
    const { name, url } = await createDatabase()
    await run('create extension vector', name)
    const role = await createRole('login')
    for (const work of [open, lookAtDatabase])
      expect(await failureOf(work(as(url, role)))).toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('may not make tables there'),
      })
  })

  test('an old server, and a database that is not in UTF-8, are told', async () => {
    names += 1
    const name = `latin_${process.pid}_${names}`
    await run(`create database ${name} encoding 'LATIN1' locale 'C' template template0`)
    for (const work of [open, lookAtDatabase])
      expect(await failureOf(work(urlOf(server, name)))).toMatchObject({
        code: 'unavailable',
        message: expect.stringContaining('encoding LATIN1'),
      })
    expect(() => refuseServer('13.14 (Debian 13.14-1)', 'UTF8')).toThrow('PostgreSQL 14 or newer is needed; this one is 13.14')
    expect(() => refuseServer('14.0', 'UTF8')).not.toThrow()
  })

  test('doctor tells of one what it is and how full, and changes nothing', async () => {
    const { name, url } = await createDatabase()
    expect(await lookAtDatabase(url)).toMatchObject({
      name: expect.stringMatching(/^PostgreSQL \d+.*, pgvector 0\.8/),
      tables: 'none',
    })
    expect((await run("select 1 from pg_tables where schemaname = 'public'", name)).rows).toEqual([])
    await (await openStorage({ url })).close()
    const { tables, aheadMs = Number.NaN, connectionsLeft = Number.NaN } = await lookAtDatabase(url)
    expect(tables).toBe('current')
    expect(Math.abs(aheadMs)).toBeLessThan(2000)
    expect(connectionsLeft).toBeGreaterThan(0)
    expect(connectionsLeft).toBeLessThan(400)
  })

  test('one that a newer program has changed is refused, and left as it is', async () => {
    const { url } = await createDatabase()
    const later = { id: '999-later', up: async () => {} }
    await (await openStorage({ url, migrations: [...migrations, later] })).close()
    expect(await failureOf(open(url))).toMatchObject({ code: 'unavailable', message: expect.stringContaining('"999-later"') })
  })

  test('a migration that fails leaves nothing of itself, and the next start goes on', async () => {
    const { url } = await createDatabase()
    const half = async (db: Storage['db']) => {
      await db.schema.createTable('half').addColumn('id', 'text').execute()
      throw new Error('The migration broke off.')
    }
    await expect(open(url, { migrations: [...migrations, { id: '999-half', up: half }] })).rejects.toThrow('broke off')
    const { db } = await open(url)
    const { rows } = await sql`select 1 from pg_tables where tablename = 'half'`.execute(db)
    expect(rows).toEqual([])
  })

  test('processes that start at the same time share the migrations', async () => {
    const { url } = await createDatabase()
    const all = await Promise.all(Array.from({ length: 4 }, () => open(url)))
    const rows = await all[0]?.db.selectFrom('schemaMigrations').select('id').orderBy('id').execute()
    expect(rows?.map(({ id }) => id)).toEqual(migrations.map(({ id }) => id))
  })
})

describe('while it runs', () => {
  test('one that can only be read answers reads, and refuses writes', async () => {
    const { name, url } = await createDatabase()
    const { db } = await open(url)
    await addRow(db, 'first')
    await run(`alter database ${name} set default_transaction_read_only = on`)
    await run(`select pg_terminate_backend(pid) from pg_stat_activity where datname = '${name}'`)
    await expect.poll(() => db.selectFrom('revokedTokens').select('tokenId').execute()).toEqual([{ tokenId: 'first' }])
    const error = await failureOf(addRow(db, 'second'))
    expect(error).toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('can only be read'),
      retryAfterSeconds: 2,
    })
    expect(await failureOf(db.transaction().execute((transaction) => addRow(transaction, 'third')))).toMatchObject({
      code: 'unavailable',
    })
    expect(await failureOf(open(url))).toMatchObject({ code: 'unavailable' })
  })

  test('no connection that is left is busy, and works when there is one again', async () => {
    const { name, url } = await createDatabase()
    const role = await createRole('login connection limit 1')
    await run(`grant create on schema public to ${role}`, name)
    await run('create extension vector', name)
    const { db } = await open(as(url, role))
    const both = await Promise.allSettled([sql`select pg_sleep(0.3)`.execute(db), sql`select pg_sleep(0.3)`.execute(db)])
    const refused = both.flatMap((one) => (one.status === 'rejected' ? [one.reason] : []))
    expect(refused).toEqual([expect.objectContaining({ code: 'busy', retryAfterSeconds: 1 })])
    await addRow(db, 'first')
  })

  test('who finds all connections of this process in use is told that it is busy', async () => {
    const { url } = await createDatabase()
    const { db } = await open(url)
    const end = new AbortController()
    const held = Array.from({ length: 10 }, () =>
      db.connection().execute(() => new Promise<void>((done) => end.signal.addEventListener('abort', () => done()))),
    )
    expect(await failureOf(addRow(db, 'late'))).toMatchObject({ code: 'busy', retryAfterSeconds: 1 })
    end.abort()
    await Promise.all(held)
    await addRow(db, 'first')
  })

  test('an error inside a transaction undoes it whole, and the connection serves the next', async () => {
    const { url } = await createDatabase()
    const { db } = await open(url)
    const work = db.transaction().execute(async (transaction) => {
      await addRow(transaction, 'first')
      await addRow(transaction, 'first')
    })
    await expect(work).rejects.toMatchObject({ code: '23505' })
    await addRow(db, 'second')
    expect(await db.selectFrom('revokedTokens').select('tokenId').execute()).toEqual([{ tokenId: 'second' }])
  })

  test('transactions that read first and then write lose nothing, in however many processes', async () => {
    const { url } = await createDatabase()
    const both = [await open(url), await open(url)]
    const [first] = both
    await first?.db
      .insertInto('usageDays')
      .values({ subject: 'user:a', day: '2026-01-01', requests: 0, promptTokens: 0, completionTokens: 0, costMicros: 0 })
      .execute()
    const count = ({ db }: Storage) =>
      db.transaction().execute(async (transaction) => {
        const { requests } = await transaction.selectFrom('usageDays').select('requests').executeTakeFirstOrThrow()
        await transaction
          .updateTable('usageDays')
          .set({ requests: requests + 1 })
          .execute()
      })
    await Promise.all(both.flatMap((storage) => Array.from({ length: 15 }, () => count(storage))))
    expect(await first?.db.selectFrom('usageDays').select('requests').execute()).toEqual([{ requests: 30 }])
  })

  test('a process that is killed while it writes leaves whole transactions, and holds nobody up', async () => {
    const { url } = await createDatabase()
    const { db } = await open(url)
    const child = spawn(process.execPath, [resolve('test/postgres/writing-process.ts'), url])
    const rows = () => db.selectFrom('revokedTokens').select(['tokenId', 'expiresAt']).execute()
    await expect.poll(async () => (await rows()).length, { timeout: 10_000 }).toBeGreaterThan(20)
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
    const startedMs = performance.now()
    await db.transaction().execute((transaction) => addRow(transaction, 'after'))
    expect(performance.now() - startedMs).toBeLessThan(2000)
    const byTransaction = Map.groupBy(
      (await rows()).filter(({ tokenId }) => tokenId !== 'after'),
      ({ expiresAt }) => expiresAt,
    )
    expect([...byTransaction.values()].map(({ length }) => length)).toEqual(Array.from(byTransaction, () => 5))
  })
})

/** As the driver gives what cannot be had on purpose. */
function stateOf(code: string): Error {
  const error = new DatabaseError('canary: could not extend file "base/1/2"', 1, 'error')
  error.code = code
  return error
}

describe('what cannot be had on purpose', () => {
  test.each([
    ['53100', 'storage_full', 'a full disk'],
    ['53200', 'storage_full', 'no memory left'],
    ['40001', 'busy', 'a conflict of transactions'],
    ['40P01', 'busy', 'a deadlock'],
    ['57P01', 'unavailable', 'an administrator who stops it'],
    ['57P03', 'unavailable', 'one that is starting'],
    ['08006', 'unavailable', 'a connection that broke'],
    ['58030', 'unavailable', 'a disk that fails'],
    ['XX001', 'unavailable', 'damaged data'],
  ])('%s is %s: %s', (state, code) => {
    const error = toPostgresError(stateOf(state))
    expect(error).toMatchObject({ code, message: expect.stringContaining(`(${state})`) })
    expect(error).toMatchObject({ message: expect.not.stringContaining('canary') })
  })

  test('what is about the work and not the database stays as it is', () => {
    const violation = stateOf('23505')
    expect(toPostgresError(violation)).toBe(violation)
  })
})
