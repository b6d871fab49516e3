import type { Config } from '../config.ts'
import { createEgress, type Egress } from '../engine/cloud/egress.ts'
import type { Storage } from '../storage/open-storage.ts'
import type { Context } from './context.ts'

/**
 * Gives `work` the way out for what this program fetches itself, without a service. It writes into the ledger of the service: the first
 * request that goes out opens the database, which is closed again when the work is done.
 */
export async function withEgress<T>({ fetch }: Context, config: Config, work: (egress: Egress) => Promise<T>): Promise<T> {
  let opening: Promise<Storage> | undefined
  const open = async () => (await import('../storage/open-storage.ts')).openStorage({ url: config.databaseUrl })
  const egress = createEgress({
    localOnly: config.localOnly,
    fetch,
    async record(entry) {
      opening ??= open()
      const { createLedger } = await import('../egress/ledger.ts')
      await createLedger(await opening).record(entry)
    },
    now: Date.now,
  })
  try {
    return await work(egress)
  } finally {
    await (await opening?.catch(() => undefined))?.close()
  }
}
