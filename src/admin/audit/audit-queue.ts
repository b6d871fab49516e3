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

/** Of what one address did in vain, so much is kept in a minute: nobody fills the disk by being refused, or by leaving. */
export const vainPerMinute = 60
/** Of all addresses together. */
export const vainPerMinuteOfAll = 600
/** Entries that wait for a database that cannot be written to. */
const mostWaiting = 10_000

export type AuditQueueParts = Readonly<{
  now: () => number
  /** What one caller has all of: of an IPv6 address its network. */
  networkOf: (address: string) => string
}>

/** What is to be written to the audit, in the order in which it ended. */
export function createAuditQueue({ now, networkOf }: AuditQueueParts): AuditQueue {
  let waiting: AuditEntry[] = []
  let leftOut = 0
  let minute = 0
  let inVain = 0
  const inVainBy = new Map<string, number>()
  const listeners: Array<() => void> = []

  function isOneTooMany({ outcome, address }: AuditEntry): boolean {
    if (outcome === 'done') return false
    const current = Math.floor(now() / 60_000)
    if (current !== minute) {
      minute = current
      inVain = 0
      inVainBy.clear()
    }
    const network = networkOf(address)
    const byIt = inVainBy.get(network) ?? 0
    if (byIt >= vainPerMinute || inVain >= vainPerMinuteOfAll) return true
    inVainBy.set(network, byIt + 1)
    inVain += 1
    return false
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
