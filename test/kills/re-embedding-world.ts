import { setTimeout as wait } from 'node:timers/promises'
import { createCollections } from '../../src/embed/collections.ts'
import { createPassages } from '../../src/embed/passages.ts'
import { createPostgresVectorIndex } from '../../src/embed/postgres-vector-index.ts'
import { createReEmbedding } from '../../src/embed/re-embed.ts'
import { createReadVectors } from '../../src/embed/vector-rows.ts'
import { systemClock } from '../../src/engine/cloud/clock.ts'
import { openInstances } from '../../src/instances/instances.ts'
import { openBossQueue } from '../../src/jobs/boss-queue.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { createFakeModel, embeddersOf } from '../fake-models.ts'
import { killedOwner as owner } from './batches.ts'

/** The shortest that the queue knows: a minute of waiting tells no more. */
const heartbeatSeconds = 10

/** One of several processes on a PostgreSQL: its collections, and their way to other models, of which each text takes a moment. */
export async function openReEmbedding(url: string) {
  const storage = await openStorage({ url })
  const { db } = storage
  const log = { error: (...problem: readonly unknown[]) => console.error(...problem), info: () => {} }
  const instances = await openInstances({ db, url, clock: systemClock, log })
  const next = createFakeModel({ name: 'next', dimensions: 24, before: ({ texts }) => wait(texts.length / 4) })
  const parts = { db, models: embeddersOf(createFakeModel(), next), now: Date.now }
  const vectorIndex = createPostgresVectorIndex({ db, now: Date.now, maxWaiting: 64 })
  const reEmbedding = createReEmbedding({
    ...{ ...parts, vectorIndex, readVectors: createReadVectors(db), instanceId: instances.id },
    openQueue: openBossQueue({ url, name: 're-embedding', heartbeatSeconds, log }),
  })
  instances.onLook(reEmbedding.look, 'Nothing could be looked for')
  return {
    ...{ db, next, owner, instances, reEmbedding },
    collections: createCollections({ ...parts, vectorIndex }),
    passages: createPassages({ ...parts, vectorIndex }),
    async close() {
      await reEmbedding.close()
      await instances.close()
      await vectorIndex.close()
      await storage.close()
    },
  }
}
