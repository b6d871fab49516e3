import type { FastifyBaseLogger } from 'fastify'
import type { Clock } from '../../engine/cloud/clock.ts'
import type { Database } from '../../storage/tables.ts'
import { createTurns } from '../in-turn.ts'
import type { AuditQueue } from './audit-queue.ts'
import { insertAudit } from './audit-rows.ts'

export type AuditKeeper = Readonly<{
  /** Resolves when what has ended before is written, or could not be. */
  flush(): Promise<void>
  close(): Promise<void>
}>

export type AuditKeeperParts = Readonly<{
  db: Database
  queue: AuditQueue
  clock: Clock
  log: Pick<FastifyBaseLogger, 'error' | 'warn'>
  /** Told of each write that has failed. */
  onFailure: () => void
}>

/** What ends within this time is written together. */
const batchMs = 200
const retryMs = 5000
const rowsPerWrite = 200

/** Writes what is to be kept of requests, after their answers and in their order. */
export function keepAudit({ db, queue, clock, log, onFailure }: AuditKeeperParts): AuditKeeper {
  const inTurn = createTurns()
  let stop: (() => void) | undefined
  let isClosed = false
  queue.onAdd(() => later(batchMs))

  function later(ms: number): void {
    if (isClosed) return
    stop ??= clock.after(ms, () => {
      stop = undefined
      void flush()
    })
  }

  function flush(): Promise<void> {
    return inTurn(async () => {
      const leftOut = queue.takeLeftOut()
      if (leftOut > 0) log.warn({ leftOut }, 'The audit leaves out refusals that came too often')
      for (let entries = queue.take(rowsPerWrite); entries.length > 0; entries = queue.take(rowsPerWrite)) {
        try {
          // In full: that an admin was made is not to be undone by a power cut.
          await insertAudit(db, entries)
        } catch (error) {
          onFailure()
          const lost = queue.putBack(entries)
          log.error({ err: error, entries: entries.length, lost }, 'The audit could not be written')
          return later(retryMs)
        }
      }
    })
  }

  return {
    flush,
    async close() {
      isClosed = true
      stop?.()
      await flush()
    },
  }
}
