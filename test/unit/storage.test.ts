import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmodSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import Sqlite from 'better-sqlite3'
import { sql } from 'kysely'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type Migration, migrations } from '../../src/storage/migrations.ts'
import type { StorageOptions } from '../../src/storage/open-storage.ts'
import type { Database } from '../../src/storage/tables.ts'
import { failureOf } from '../failure-of.ts'
import { closeOpened, openToClose } from '../opened-storages.ts'

let folder: string
let path: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simpleia-storage-'))
  path = join(folder, 'data', 'simpleia.db')
})

afterEach(async () => {
  await closeOpened()
  await rm(folder, { recursive: true })
})

const open = (options: Partial<StorageOptions> = {}) => openToClose({ url: path, busyTimeoutMs: 20, ...options })

const saveFeedback = (db: Database, id: string, text = 'hola') =>
  db
    .insertInto('feedback')
    .values({
      id,
      text,
      userId: null,
      predictionId: null,
      rating: null,
      correction: null,
      rejectedPredictionId: null,
      tags: '[]',
      createdAt: 'now',
    })
    .execute()

async function pragma(db: Database, name: string): Promise<unknown> {
  const { rows } = await sql<Record<string, unknown>>`${sql.raw(`pragma ${name}`)}`.execute(db)
  return Object.values(rows[0] ?? {})[0]
}

describe('opening', () => {
  test('makes the folder and the file, which only this user may read', async () => {
    const { db } = await open()
    await saveFeedback(db, '1')
    expect(statSync(path).mode & 0o777).toBe(0o600)
    expect(statSync(`${path}-wal`).mode & 0o777).toBe(0o600)
  })

  test('writes to a log that readers do not wait for, each commit reaches the disk, and references are kept', async () => {
    const { db } = await open()
    expect(await pragma(db, 'journal_mode')).toBe('wal')
    expect(await pragma(db, 'synchronous')).toBe(2)
    expect(await pragma(db, 'foreign_keys')).toBe(1)
    expect(await pragma(db, 'busy_timeout')).toBe(20)
  })

  test('again finds what was stored', async () => {
    const first = await open()
    await saveFeedback(first.db, '1')
    await first.close()
    const { db } = await open()
    expect(await db.selectFrom('feedback').select('id').execute()).toEqual([{ id: '1' }])
  })

  test('and a statement that was sent before a table changed finds it as it is now', async () => {
    const { db } = await open()
    await saveFeedback(db, '1')
    const whole = () => db.selectFrom('feedback').selectAll().executeTakeFirst()
    expect(await whole()).not.toHaveProperty('mood')
    await sql`alter table feedback add column mood text default 'calm'`.execute(db)
    expect(await whole()).toMatchObject({ id: '1', mood: 'calm' })
    expect(await pragma(db, 'user_version')).toBe(0)
    await sql`pragma user_version = 5`.execute(db)
    expect(await pragma(db, 'user_version')).toBe(5)
  })
})

describe('migrations', () => {
  const counting = (calls: string[], id: string): Migration => ({
    id,
    up: async (db) => {
      calls.push(id)
      await db.schema.createTable(id.replace('-', '_')).addColumn('id', 'text').execute()
    },
  })

  test('each runs once, in order, and new ones run on what is there', async () => {
    const calls: string[] = []
    const one = counting(calls, 'x-1')
    const two = counting(calls, 'x-2')
    await (await open({ migrations: [one] })).close()
    await (await open({ migrations: [one, two] })).close()
    const { db } = await open({ migrations: [one, two], now: () => 0 })
    expect(calls).toEqual(['x-1', 'x-2'])
    expect(await db.selectFrom('schemaMigrations').select('id').orderBy('id').execute()).toEqual([{ id: 'x-1' }, { id: 'x-2' }])
  })

  test('one that fails half-way leaves nothing behind, and runs whole the next time', async () => {
    const calls: string[] = []
    const broken: Migration = {
      id: 'x-1',
      up: async (db) => {
        await counting(calls, 'x-1').up(db)
        throw new Error('half-way')
      },
    }
    await expect(open({ migrations: [broken] })).rejects.toThrow('half-way')
    await open({ migrations: [counting(calls, 'x-1')] })
    expect(calls).toEqual(['x-1', 'x-1'])
  })

  test('a database that a newer version has changed is refused and left as it is', async () => {
    await (await open({ migrations: [...migrations, counting([], 'x-999')] })).close()
    const before = readFileSync(path)
    const error = await failureOf(open())
    expect(error.code).toBe('unavailable')
    expect(error.message).toContain('x-999')
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('two processes that start at the same time both end with all tables', async () => {
    const code = `await (await openStorage({ url: ${JSON.stringify(path)} })).close(); console.log('open')`
    expect(await Promise.all([runChild(code), runChild(code)])).toEqual(['open\n', 'open\n'])
    const { db } = await open()
    const { count } = await db
      .selectFrom('schemaMigrations')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .executeTakeFirstOrThrow()
    expect(count).toBe(migrations.length)
  })

  test('times are UTC with a Z', async () => {
    const { db } = await open({ now: () => Date.UTC(2026, 0, 2, 3, 4, 5) })
    const { appliedAt } = await db.selectFrom('schemaMigrations').select('appliedAt').executeTakeFirstOrThrow()
    expect(appliedAt).toBe('2026-01-02T03:04:05.000Z')
  })
})

describe('failures say what is wrong', () => {
  test('a file that is no database is refused and kept', async () => {
    mkdirSync(join(folder, 'data'))
    writeFileSync(path, 'this was a database once '.repeat(1000))
    const before = readFileSync(path)
    const error = await failureOf(open())
    expect(error.code).toBe('unavailable')
    expect(error.message).toContain(path)
    expect(readFileSync(path).equals(before)).toBe(true)
  })

  test('a damaged database is refused and kept', async () => {
    const first = await open()
    for (let index = 0; index < 200; index++) await saveFeedback(first.db, String(index), 'x'.repeat(500))
    await first.close()
    const bytes = readFileSync(path)
    bytes.fill(0xa5, 4096 * 3, 4096 * 8)
    writeFileSync(path, bytes)
    const error = await failureOf(open())
    expect(error.code).toBe('unavailable')
    expect(error.message).toContain('damaged')
    expect(readFileSync(path).equals(bytes)).toBe(true)
  })

  test('a database cut short is refused and kept', async () => {
    const first = await open()
    for (let index = 0; index < 200; index++) await saveFeedback(first.db, String(index), 'x'.repeat(500))
    await first.close()
    const half = readFileSync(path).subarray(0, 20_000)
    writeFileSync(path, half)
    expect((await failureOf(open())).message).toContain('damaged')
    expect(readFileSync(path).equals(half)).toBe(true)
  })

  test('a database locked by another program at start', async () => {
    mkdirSync(join(folder, 'data'))
    const other = new Sqlite(path)
    other.exec('begin exclusive')
    const error = await failureOf(open())
    other.close()
    expect(error.code).toBe('busy')
    expect(error.message).toContain(path)
  })

  test('a database locked by another writer later: try again; reading goes on', async () => {
    const { db } = await open()
    const other = new Sqlite(path)
    other.exec('begin immediate')
    const error = await failureOf(saveFeedback(db, '1'))
    const inTransaction = await failureOf(db.transaction().execute(async (tx) => void (await saveFeedback(tx, '2'))))
    expect([error.code, inTransaction.code]).toEqual(['busy', 'busy'])
    expect(error.retryAfterSeconds).toBe(1)
    expect(error.message).not.toContain(folder)
    expect(await db.selectFrom('feedback').selectAll().execute()).toEqual([])
    other.exec('rollback')
    other.close()
    await saveFeedback(db, '1')
  })

  test('a transaction that has only read so far keeps other writers out, so that its own write cannot fail for theirs', async () => {
    const { db } = await open()
    const other = new Sqlite(path, { timeout: 0 })
    const write = () => other.exec("insert into feedback (id, created_at) values ('other', '')")
    await db.transaction().execute(async (tx) => {
      await tx.selectFrom('feedback').selectAll().execute()
      expect(write).toThrow('locked')
      await saveFeedback(tx, 'mine')
    })
    write()
    other.close()
    expect(await db.selectFrom('feedback').select('id').orderBy('id').execute()).toEqual([{ id: 'mine' }, { id: 'other' }])
  })

  test('a full disk: the write fails whole, alone and in a transaction, reading goes on, and later writes work', async () => {
    const { db } = await open()
    await saveFeedback(db, '1')
    const pages = Number(await pragma(db, 'page_count'))
    await pragma(db, `max_page_count = ${pages}`)
    const alone = await failureOf(saveFeedback(db, '2', 'x'.repeat(100_000)))
    const inTransaction = await failureOf(
      db.transaction().execute(async (tx) => {
        await saveFeedback(tx, '3')
        await saveFeedback(tx, '4', 'x'.repeat(100_000))
      }),
    )
    expect([alone.code, inTransaction.code]).toEqual(['storage_full', 'storage_full'])
    expect(await db.selectFrom('feedback').select('id').execute()).toEqual([{ id: '1' }])
    await pragma(db, `max_page_count = ${pages + 1000}`)
    await saveFeedback(db, '5', 'x'.repeat(100_000))
  })

  test('a folder and a file that this user may not write are named, with the user', async () => {
    await (await open()).close()
    const data = join(folder, 'data')
    chmodSync(folder, 0o755)
    chmodSync(data, 0o555)
    chmodSync(path, 0o444)
    const user = process.getuid?.() === 0 ? nobody : process.getuid?.()
    for (const unwritable of [path, join(data, 'other.db'), join(data, 'deeper', 'simpleia.db')]) {
      expect(await openAsOrdinaryUser(unwritable)).toContain(
        `unavailable: User id ${user} may not write ${unwritable} or its folder`,
      )
    }
    chmodSync(data, 0o755)
  })

  test('a path that lies under a file', async () => {
    writeFileSync(join(folder, 'data'), '')
    expect((await failureOf(open())).code).toBe('unavailable')
  })

  test.runIf(process.platform === 'linux')('a place where nobody may make a folder', async () => {
    expect((await failureOf(open({ url: '/proc/simpleia/deeper/simpleia.db' }))).message).toContain('/proc/simpleia/deeper')
  })
})

test('kill -9 while writing, again and again, leaves a whole database with every answered write and no half one', async () => {
  await (await open()).close()
  let answered = 0
  for (let round = 0; round < 5; round++) answered += await writeUntilKilled(round)
  const { db } = await open()
  expect(await pragma(db, 'integrity_check')).toBe('ok')
  const { pairs, count } = await db
    .selectFrom('feedback')
    .select(({ fn }) => [fn.countAll<number>().as('count'), fn.count<number>('predictionId').distinct().as('pairs')])
    .executeTakeFirstOrThrow()
  expect(answered).toBeGreaterThan(20)
  expect(pairs).toBeGreaterThanOrEqual(answered)
  expect(count).toBe(pairs * 2)
})

const nobody = 65534
const openStorageFile = resolve('src/storage/open-storage.ts')

/** Root may write anywhere, so it becomes nobody first. */
async function openAsOrdinaryUser(databasePath: string): Promise<string> {
  return runChild(`
    if (process.getuid() === 0) { process.setegid(${nobody}); process.seteuid(${nobody}) }
    await openStorage({ url: ${JSON.stringify(databasePath)} }).catch((error) => console.log(error.code + ': ' + error.message))`)
}

/** Each transaction writes two rows; the child says so after the commit, and is killed after a few. */
async function writeUntilKilled(round: number): Promise<number> {
  const code = `
    const { db } = await openStorage({ url: ${JSON.stringify(path)} })
    for (let index = 0; ; index++) {
      const pair = '${round}-' + index
      await db.transaction().execute(async (tx) => {
        for (const half of ['a', 'b'])
          await tx.insertInto('feedback').values({ id: pair + half, predictionId: pair, text: 'x'.repeat(3000), createdAt: '' }).execute()
      })
      console.log(pair)
    }`
  const output = await runChild(code, 5 + round * 7)
  return output.split('\n').length - 1
}

/** Runs the code in a Node of its own; with `killAfterLines`, ends it by SIGKILL once it has printed so many. */
async function runChild(code: string, killAfterLines = Number.POSITIVE_INFINITY): Promise<string> {
  const source = `import { openStorage } from ${JSON.stringify(openStorageFile)}\n${code}`
  const child = spawn(process.execPath, ['--input-type=module', '--eval', source], { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.on('data', (chunk: Buffer) => {
    output += chunk.toString()
    if (output.split('\n').length > killAfterLines) child.kill('SIGKILL')
  })
  await once(child, 'close')
  return output
}
