import type { Clock } from '../../engine/cloud/clock.ts'
import type { Database } from '../../storage/tables.ts'
import { writeLightly } from '../../storage/write-lightly.ts'
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
  log: Readonly<Record<'error' | 'warn', (fields: object, message: string) => void>>
  /** Told of each write that has failed. */
  onFailure: () => void
}>

export const retryMs = 5000
const rowsPerWrite = 200

/** Writes what is to be kept of requests, after their answers and in their order; what ends while it writes is written together. */
export function keepAudit({ db, queue, clock, log, onFailure }: AuditKeeperParts): AuditKeeper {
  const inTurn = createTurns()
  let isAsked = false
  let stopWaiting: (() => void) | undefined
  let isClosed = false
  queue.onAdd(() => {
    // After a failure its time comes by itself.
    if (isAsked || isClosed || stopWaiting !== undefined) return
    isAsked = true
    void flush()
  })

  function flush(): Promise<void> {
    return inTurn(async () => {
      isAsked = false
      const leftOut = queue.takeLeftOut()
      if (leftOut > 0) log.warn({ leftOut }, 'The audit leaves out what came too often, or could not wait')
      for (let entries = queue.take(rowsPerWrite); entries.length > 0; entries = queue.take(rowsPerWrite)) {
        try {
          await writeLightly(db, (transaction) => insertAudit(transaction, entries))
        } catch (error) {
          onFailure()
          const lost = queue.putBack(entries)
          log.error({ err: error, entries: entries.length, lost }, 'The audit could not be written')
          return tryLater()
        }
      }
    })
  }

  function tryLater(): void {
    if (isClosed) return
    stopWaiting ??= clock.after(retryMs, () => {
      stopWaiting = undefined
      void flush()
    })
  }

  return {
    flush,
    async close() {
      isClosed = true
      stopWaiting?.()
      await flush()
    },
  }
}
