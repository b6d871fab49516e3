import { createEgress, type Egress, type EgressEntry } from '../src/engine/cloud/egress.ts'

export type OpenEgressOptions = Readonly<{
  fetch?: typeof globalThis.fetch
  localOnly?: boolean
  onRecord?: (entry: EgressEntry) => void
}>

/** The real way out, with a ledger that is a list: the last state of each errand, in the order in which they began. */
export function openEgress({ fetch = globalThis.fetch, localOnly = false, onRecord }: OpenEgressOptions = {}) {
  const entries = new Map<string, EgressEntry>()
  const egress: Egress = createEgress({
    localOnly,
    fetch,
    now: Date.now,
    async record(entry) {
      entries.set(entry.id, entry)
      onRecord?.(entry)
    },
  })
  return { egress, entries: () => [...entries.values()] }
}
