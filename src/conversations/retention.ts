import { setImmediate } from 'node:timers/promises'
import type { FastifyBaseLogger } from 'fastify'
import type { Database } from '../storage/tables.ts'
import { restoreMs } from './conversations.ts'
import { visitorDays } from './owner.ts'

/** Messages removed by one statement. */
const rowsPerPiece = 500
const hourMs = 60 * 60 * 1000
const dayMs = 24 * hourMs

/**
 * Removes for good what was deleted a day ago, and what a browser without an account has not used for as long as it keeps its cookie. Tells
 * how many conversations there were.
 */
export async function sweepConversations(db: Database, nowMs: number, signal?: AbortSignal): Promise<number> {
  const deletedBefore = new Date(nowMs - restoreMs).toISOString()
  await deleteLeft(db, new Date(nowMs - visitorDays * dayMs).toISOString())
  for (let removed = 0; ; removed += 1) {
    const row = await db
      .selectFrom('conversations')
      .select('id')
      .where('deletedAt', '<=', deletedBefore)
      .limit(1)
      .executeTakeFirst()
    if (row === undefined || signal?.aborted === true) return removed
    // Some at a time, so that a long one holds nobody up.
    for (let left = true; left; await setImmediate()) {
      const some = db.selectFrom('messages').select('number').where('conversationId', '=', row.id).limit(rowsPerPiece)
      const { numDeletedRows } = await db.deleteFrom('messages').where('number', 'in', some).executeTakeFirst()
      left = numDeletedRows > 0n
    }
    await db.deleteFrom('conversations').where('id', '=', row.id).execute()
  }
}

/** Conversations at once, so that nobody who comes back meanwhile writes into one that is half gone. */
async function deleteLeft(db: Database, leftBefore: string): Promise<void> {
  await db
    .updateTable('conversations')
    .set({ deletedAt: leftBefore })
    .where('visitor', 'is not', null)
    .where('usedAt', '<', leftBefore)
    .where('deletedAt', 'is', null)
    .execute()
  await db
    .deleteFrom('presets')
    .where('visitor', 'is not', null)
    .where('createdAt', '<', leftBefore)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('conversations').select('id').whereRef('conversations.visitor', '=', 'presets.visitor'))),
    )
    .execute()
}

export type SweepParts = Readonly<{
  db: Database
  log: Pick<FastifyBaseLogger, 'error' | 'info'>
  now: () => number
  /** Resolves an hour later; rejects when `signal` says so. */
  waitAnHour: (signal: AbortSignal) => Promise<unknown>
}>

/** Sweeps now and every hour, until it is closed. */
export function openSweep({ db, log, now, waitAnHour }: SweepParts): Readonly<{ close(): Promise<void> }> {
  const stopping = new AbortController()
  const { signal } = stopping
  async function run(): Promise<void> {
    // The start of the service comes first.
    await setImmediate()
    while (!signal.aborted) {
      try {
        const removed = await sweepConversations(db, now(), signal)
        if (removed > 0) log.info({ removed }, 'Deleted conversations were removed')
      } catch (error) {
        log.error({ err: error }, 'Deleted conversations could not be removed')
      }
      await waitAnHour(signal).catch(() => undefined)
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
