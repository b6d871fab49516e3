import type { AuditEntry } from './audit-entry.ts'

export interface AuditQueue {
  add(entry: AuditEntry): void
  /** The oldest, no more than so many; they are the taker's now. */
  take(most: number): AuditEntry[]
  /** Puts back what could not be written, before the others. Gives how many had to be given up. */
  putBack(entries: readonly AuditEntry[]): number
  /** How many were left out, by what is written only so often, since it was asked last. */
  takeLeftOut(): number
  /** Calls whenever there is something to take. */
  onAdd(listener: () => void): void
}

/** Refusals of one address that are kept in a minute: nobody fills the disk by being refused. */
export const refusalsPerMinute = 60
/** Entries that wait for a database that cannot be written to. */
const mostWaiting = 10_000
/** Addresses that are counted at once; those beyond share one count. */
const mostAddresses = 1000

/** What is to be written to the audit, in the order in which it ended. */
export function createAuditQueue(now: () => number): AuditQueue {
  let waiting: AuditEntry[] = []
  let leftOut = 0
  let minute = 0
  const refusals = new Map<string, number>()
  const listeners: Array<() => void> = []

  function isOneTooMany({ outcome, address }: AuditEntry): boolean {
    if (outcome !== 'refused') return false
    const current = Math.floor(now() / 60_000)
    if (current !== minute) refusals.clear()
    minute = current
    const counted = refusals.has(address) || refusals.size < mostAddresses ? address : ''
    const count = (refusals.get(counted) ?? 0) + 1
    refusals.set(counted, count)
    return count > refusalsPerMinute
  }

  return {
    add(entry) {
      if (isOneTooMany(entry) || waiting.length >= mostWaiting) {
        leftOut += 1
        return
      }
      waiting.push(entry)
      for (const listener of listeners) listener()
    },
    take: (most) => waiting.splice(0, most),
    putBack(entries) {
      const all = [...entries, ...waiting]
      waiting = all.slice(-mostWaiting)
      return all.length - waiting.length
    },
    takeLeftOut() {
      const count = leftOut
      leftOut = 0
      return count
    },
    onAdd: (listener) => void listeners.push(listener),
  }
}
