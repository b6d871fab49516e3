import { dirname, join } from 'node:path'
import type { Config } from './config.ts'
import { createLedger, type Ledger } from './egress/ledger.ts'
import { openPrices, type Prices } from './egress/prices.ts'
import { createEgress, type Egress } from './engine/cloud/egress.ts'
import type { Instances } from './instances/instances.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { Storage } from './storage/open-storage.ts'

export type OutsideParts = Readonly<{
  storage: Storage
  instances: Instances
  metrics: Metrics
  fetch?: typeof globalThis.fetch
  now: () => number
}>

export type Outside = Readonly<{ egress: Egress; ledger: Ledger; prices: Prices }>

/** The only way out of this machine, with its ledger and the prices of what is asked there. */
export async function openOutside(config: Config, parts: OutsideParts): Promise<Outside> {
  const { storage, instances, metrics, fetch = globalThis.fetch, now } = parts
  const prices = await openPrices(join(dirname(config.configFile), 'prices.json'))
  const ledger = createLedger({ db: storage.db, instanceId: instances.id })
  await instances.recover(ledger.interruptOrphans)
  const egress = createEgress({
    localOnly: config.localOnly,
    fetch,
    async record(entry) {
      if (entry.durationMs !== undefined) metrics.egressEnd(entry)
      await ledger.record(entry)
    },
    priceOf: prices.priceOf,
    now,
  })
  return { egress, ledger, prices }
}
