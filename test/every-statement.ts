import { sql } from 'kysely'
import { expect } from 'vitest'
import { isPostgres } from '../src/storage/dialect.ts'
import { openStorage, type Storage } from '../src/storage/open-storage.ts'
import { readLayouts } from '../src/storage/transfer/layout.ts'
import { type Fault, failAt, full, onceBroken } from './failing-disk.ts'
import { onPostgres } from './postgres/database-at.ts'

export type Answer = Readonly<{ status: number; body: unknown }>

/** A request that keeps something. */
export type Kept = Readonly<{
  /** Makes what it needs, and gives the request. `tag` is a word that is new each time. */
  prepare: (tag: string) => Promise<() => Promise<Answer>>
  /** Tables that are not looked at: their rows may be missing, as who asks gets an answer all the same, or go later. */
  mayLack?: readonly string[]
  /** Tables of which rows may have come before the rest, and stay: what they hold is whole by itself. */
  mayPrecede?: readonly string[]
  /** Default: a database that fails once, and one that is full from then on. */
  on?: readonly Fault[]
  /** Whether it can be sent again where all was kept and the answer was a failure. */
  repeats?: boolean
}>

/** Kept beside or after the answer, which does not wait for it: the audit, the history, counts of use. */
const besides = /^(audit|history|usage_|egress|instances)/

/** A statement that fails in PostgreSQL takes its transaction with it, however often others fail. */
const faults: readonly Fault[] = onPostgres ? [full] : [onceBroken, full]

/** A look at a database through connections of its own, which see what is committed. */
export async function lookAt(url: string) {
  const storage = await openStorage({ url })
  const tables = (await readLayouts()).map(({ name }) => name).filter((name) => !besides.test(name))
  return { db: storage.db, tables, rows: () => readRows(storage, tables), close: storage.close }
}

export type Look = Awaited<ReturnType<typeof lookAt>>

async function readRows({ db }: Storage, tables: readonly string[]): Promise<ReadonlySet<string>> {
  if (isPostgres(db)) {
    // In one statement: there are many tables, and each costs a way to the server.
    const each = tables.map(
      (table) => sql<{ row: string }>`select ${table} || ' ' || row_to_json(x)::text as row from ${sql.table(table)} x`,
    )
    const { rows } = await sql<{ row: string }>`${sql.join(each, sql` union all `)}`.execute(db)
    return new Set(rows.map(({ row }) => row))
  }
  const rows = new Set<string>()
  for (const table of tables)
    for (const row of (await sql<object>`select * from ${sql.table(table)}`.execute(db)).rows)
      rows.add(`${table} ${JSON.stringify(row)}`)
  return rows
}

/**
 * Sends the request while the first statement that changes something fails, then the second, and so on until none is left to fail. After
 * each, all of what it keeps is there or none; a failure is told as one of the database; and sent again, it works.
 */
export async function everyStatement(look: Look, kept: Kept, folder: string): Promise<number> {
  const expected = await learn(look, kept)
  let failures = 0
  for (const fault of kept.on ?? faults)
    for (let at = 1; await fail({ look, kept, folder, expected, at, fault }); at += 1) failures += 1
  expect(failures).toBeGreaterThan(0)
  return failures
}

let tags = 0

function newTag(): string {
  tags += 1
  return `tag${String(tags).padStart(5, '0')}x`
}

async function learn(look: Look, { prepare }: Kept): Promise<readonly string[]> {
  const tag = newTag()
  const send = await prepare(tag)
  const before = await look.rows()
  const answer = await send()
  expect(answer.status, JSON.stringify(answer.body)).toBeLessThan(300)
  const changes = changesOf(before, await look.rows(), tag)
  expect(changes.length, 'the request keeps something').toBeGreaterThan(0)
  return changes
}

type Failing = Readonly<{ look: Look; kept: Kept; folder: string; expected: readonly string[]; at: number; fault: Fault }>

/** False: there were fewer statements. */
async function fail({ look, kept, folder, expected, at, fault }: Failing): Promise<boolean> {
  const label = `statement ${at} fails with ${fault.code}${fault.lasts ? ', and all after it' : ''}`
  const tag = newTag()
  const send = await kept.prepare(tag)
  const before = await look.rows()
  let answer: Answer = { status: 0, body: undefined }
  const { isMet } = await failAt({ folder, at, fault }, async () => {
    answer = await send()
  })
  const found = withoutLacking(changesOf(before, await look.rows(), tag), kept)
  const isAnswered = answer.status < 300
  if (!isAnswered) checkFailure(answer, label)
  if (isAnswered) expect(found, `${label}: kept`).toEqual(withoutLacking(expected, kept))
  else if (!isFirstPart(found, kept)) expect(found, `${label}: all or nothing`).toEqual(withoutLacking(expected, kept))
  if (!isAnswered && (isFirstPart(found, kept) || kept.repeats === true)) {
    const again = await send()
    expect(again.status, `${label}: again ${JSON.stringify(again.body)}`).toBeLessThan(300)
    const changes = withoutLacking(changesOf(before, await look.rows(), tag), kept)
    expect(changes, `${label}: again`).toEqual(withoutLacking(expected, kept))
  }
  return isMet
}

function checkFailure({ status, body }: Answer, label: string): void {
  const said = JSON.stringify(body)
  expect([503, 507], `${label}: ${status} ${said}`).toContain(status)
  expect(said, label).toMatch(/"code":"(storage_full|unavailable)"/)
}

/** Nothing, or what may come before the rest. */
const isFirstPart = (changes: readonly string[], { mayPrecede = [] }: Kept) =>
  changes.every((change) => mayPrecede.some((table) => change.startsWith(`+ ${table} `)))

const withoutLacking = (changes: readonly string[], { mayLack = [] }: Kept) =>
  changes.filter((change) => !mayLack.some((table) => change.slice(2).startsWith(`${table} `)))

/** What has come and gone, but for what is different each time. */
function changesOf(before: ReadonlySet<string>, after: ReadonlySet<string>, tag: string): readonly string[] {
  const come = [...after].filter((row) => !before.has(row)).map((row) => `+ ${row}`)
  const gone = [...before].filter((row) => !after.has(row)).map((row) => `- ${row}`)
  return [...come, ...gone]
    .map((row) =>
      row
        .replaceAll(tag, 'TAG')
        .replaceAll(/\$argon2[^"]*/g, 'HASH')
        .replaceAll(/[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g, 'ID')
        .replaceAll(/[0-9a-f]{40,}/g, 'HASH')
        .replaceAll(/\d{4}-\d{2}-\d{2}T[\d:.]+Z/g, 'TIME')
        .replaceAll(/\b1[67]\d{11}\b/g, 'TIME')
        .replaceAll(/"(id|number|passageId|passage_id|rowid)":\d+/g, '"$1":N')
        .replaceAll(/"vector":(?:\{.*?\}|"\[.*?\]")/g, '"vector":V')
        .replaceAll(/\b[0-9a-f]{16}\b|"last_?[fF]our":"[^"]*"|"timings":"(\\.|[^"])*"/g, 'DRAWN')
        .replaceAll(/((?:\w+_at|cached_tokens)\\?"):\d+/g, '$1:N'),
    )
    .sort()
}
