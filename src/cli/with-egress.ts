import { type Closer, createCloser } from '../closer.ts'
import type { Config } from '../config.ts'
import type { Ledger } from '../egress/ledger.ts'
import { systemClock } from '../engine/cloud/clock.ts'
import { createEgress, type Egress } from '../engine/cloud/egress.ts'
import type { Context } from './context.ts'

/**
 * Gives `work` the way out for what this program fetches itself, without a service. It writes into the ledger of the service: the first
 * request that goes out opens the database, which is closed again when the work is done.
 */
export async function withEgress<T>({ fetch }: Context, config: Config, work: (egress: Egress) => Promise<T>): Promise<T> {
  const closer = createCloser()
  let opening: Promise<Ledger> | undefined
  const egress = createEgress({
    localOnly: config.localOnly,
    fetch,
    async record(entry) {
      opening ??= openLedger(config, closer)
      await (await opening).record(entry)
    },
    now: Date.now,
  })
  try {
    return await work(egress)
  } finally {
    await opening?.catch(() => undefined)
    await closer.close()
  }
}

const silent = () => undefined

/** As a process of its own, so that no service takes what it does for what a dead one has left. */
async function openLedger({ databaseUrl: url }: Config, closer: Closer): Promise<Ledger> {
  const [{ openStorage }, { openInstances }, { createLedger }] = await Promise.all([
    import('../storage/open-storage.ts'),
    import('../instances/instances.ts'),
    import('../egress/ledger.ts'),
  ])
  const { db } = closer.use(await openStorage({ url }))
  const { id } = closer.use(await openInstances({ db, url, clock: systemClock, log: { error: silent, info: silent } }))
  return createLedger({ db, instanceId: id })
}
