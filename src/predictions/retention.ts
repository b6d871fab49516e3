import { setImmediate, setTimeout as wait } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { Database } from '../storage/tables.ts'

/** Rows looked at by one statement. */
const rowsPerPiece = 100

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
  /** 0: nothing goes. */
  days: number
  log: Pick<FastifyBaseLogger, 'error' | 'info'>
  now: () => number
  /** Resolves a day later; rejects when `signal` says so. */
  waitADay?: (signal: AbortSignal) => Promise<unknown>
}>

/** Prunes now and every day, until it is closed. */
export function openRetention({ db, days, log, now, waitADay = aDay }: RetentionParts): Readonly<{ close(): Promise<void> }> {
  const stopping = new AbortController()
  const { signal } = stopping
  async function run(): Promise<void> {
    // The start of the service comes first.
    await setImmediate()
    while (!signal.aborted) {
      try {
        const removed = await prunePredictions(db, { nowMs: now(), days }, signal)
        if (removed > 0) log.info({ removed, days }, 'Old predictions were deleted')
      } catch (error) {
        log.error({ err: error }, 'Old predictions could not be deleted')
      }
      await waitADay(signal).catch(() => undefined)
    }
  }
  const running = days === 0 ? Promise.resolve() : run()
  return {
    async close() {
      stopping.abort()
      await running
    },
  }
}

const aDay = (signal: AbortSignal) => wait(dayMs, undefined, { signal, ref: false })
