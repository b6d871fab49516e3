import { setImmediate, setTimeout as wait } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import { sql } from 'kysely'
import type { Place } from '../storage/place-cursor.ts'
import type { Database } from '../storage/tables.ts'

/** Rows looked at by one statement. */
const rowsPerPiece = 100

/** Bytes of prompts and answers that are remembered for one owner; docs/feedback.md tells it. */
export const mostOwnerBytes = 1024 * 1024 * 1024

const dayMs = 24 * 60 * 60 * 1000

/**
 * Deletes the predictions that are older than so many days, some at a time, and tells how many. Those on which there is feedback, or over
 * which another one was kept, stay.
 */
export async function prunePredictions(
  db: Database,
  { nowMs, days }: Readonly<{ nowMs: number; days: number }>,
  signal?: AbortSignal,
): Promise<number> {
  const before = new Date(nowMs - days * dayMs).toISOString()
  let after = { createdAt: '', id: '' }
  for (let removed = 0; ; await setImmediate()) {
    const rows = await db
      .selectFrom('predictions')
      .select(['createdAt', 'id'])
      .where('createdAt', '<', before)
      .where(({ eb, or, and }) =>
        or([eb('createdAt', '>', after.createdAt), and([eb('createdAt', '=', after.createdAt), eb('id', '>', after.id)])]),
      )
      .orderBy('createdAt')
      .orderBy('id')
      .limit(rowsPerPiece)
      .execute()
    const last = rows.at(-1)
    if (last === undefined) return removed
    after = last
    removed += await removeUnrated(
      db,
      rows.map(({ id }) => id),
    )
    if (rows.length < rowsPerPiece || signal?.aborted === true) return removed
  }
}

/**
 * Deletes the oldest predictions of each owner who has more than so many bytes of them, and tells how many. Those with feedback count, and
 * stay.
 */
export async function pruneOwners(db: Database, mostBytes: number, signal?: AbortSignal): Promise<number> {
  let removed = 0
  for (const column of ['ownerId', 'ownerKey'] as const)
    for (let owner = ''; ; await setImmediate()) {
      // One after the other by the index: a list of all would read the whole table.
      const next = await db
        .selectFrom('predictions')
        .select(column)
        .where(column, '>', owner)
        .orderBy(column)
        .limit(1)
        .executeTakeFirst()
      const found = next?.[column] ?? undefined
      if (found === undefined || signal?.aborted === true) break
      owner = found
      removed += await pruneOwner(db, { column, owner }, mostBytes, signal)
    }
  return removed
}

type OwnerColumn = Readonly<{ column: 'ownerId' | 'ownerKey'; owner: string }>

/** From the newest on: what is beyond the bytes goes. */
async function pruneOwner(
  db: Database,
  { column, owner }: OwnerColumn,
  mostBytes: number,
  signal?: AbortSignal,
): Promise<number> {
  let after: Place | undefined
  let bytes = 0
  for (let removed = 0; ; await setImmediate()) {
    // The sizes stand in the heads of the rows: the texts are not read for this.
    let query = db
      .selectFrom('predictions')
      .select(['createdAt', 'id', sql<number>`octet_length(prompt) + octet_length(choices)`.as('bytes')])
      .where(column, '=', owner)
      .orderBy('createdAt', 'desc')
      .orderBy('id', 'desc')
      .limit(rowsPerPiece)
    if (after !== undefined) {
      const { createdAt, id } = after
      query = query.where(({ eb, refTuple, tuple }) => eb(refTuple('createdAt', 'id'), '<', tuple(createdAt, id)))
    }
    const rows = await query.execute()
    const surplus = rows.filter((row) => {
      bytes += row.bytes
      return bytes > mostBytes
    })
    if (surplus.length > 0)
      removed += await removeUnrated(
        db,
        surplus.map(({ id }) => id),
      )
    if (rows.length < rowsPerPiece || signal?.aborted === true) return removed
    after = rows.at(-1)
  }
}

async function removeUnrated(db: Database, ids: readonly string[]): Promise<number> {
  const { numDeletedRows } = await db
    .deleteFrom('predictions')
    .where('id', 'in', ids)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('feedback').select('feedback.id').whereRef('feedback.predictionId', '=', 'predictions.id'))),
    )
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('feedback').select('feedback.id').whereRef('feedback.rejectedPredictionId', '=', 'predictions.id'))),
    )
    .executeTakeFirst()
  return Number(numDeletedRows)
}

export type RetentionParts = Readonly<{
  db: Database
  /** 0: nothing goes for its age. */
  days: number
  log: Pick<FastifyBaseLogger, 'error' | 'info'>
  now: () => number
  /** Resolves a day later; rejects when `signal` says so. */
  waitADay?: (signal: AbortSignal) => Promise<unknown>
}>

/** Prunes by age and size, now and every day, until it is closed. */
export function openRetention({ db, days, log, now, waitADay = aDay }: RetentionParts): Readonly<{ close(): Promise<void> }> {
  const stopping = new AbortController()
  const { signal } = stopping
  async function run(): Promise<void> {
    // The start of the service comes first.
    await setImmediate()
    while (!signal.aborted) {
      try {
        const aged = days === 0 ? 0 : await prunePredictions(db, { nowMs: now(), days }, signal)
        const removed = aged + (await pruneOwners(db, mostOwnerBytes, signal))
        if (removed > 0) log.info({ removed, days }, 'Old predictions were deleted')
      } catch (error) {
        log.error({ err: error }, 'Old predictions could not be deleted')
      }
      if (!signal.aborted) await waitADay(signal).catch(() => undefined)
    }
  }
  const running = run()
  return {
    async close() {
      stopping.abort()
      await running
    },
  }
}

const aDay = (signal: AbortSignal) => wait(dayMs, undefined, { signal, ref: false })
