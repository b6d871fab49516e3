import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { FastifyBaseLogger, FastifyPluginAsync } from 'fastify'
import { openToKeys } from './auth/key-scopes.ts'
import type { Closer } from './closer.ts'
import type { Config } from './config.ts'
import type { Collections, PassageSearch, Passages } from './embed/collection.ts'
import { collectionRoutes } from './embed/collection-routes.ts'
import { createCollections } from './embed/collections.ts'
import { itemRoutes } from './embed/item-routes.ts'
import { createPassageSearch } from './embed/passage-search.ts'
import { createPassages } from './embed/passages.ts'
import { createPostgresVectorIndex } from './embed/postgres-vector-index.ts'
import { createReEmbedding } from './embed/re-embed.ts'
import { reEmbedRoutes } from './embed/re-embed-routes.ts'
import { openSnapshotFiles } from './embed/snapshot-files.ts'
import { snapshotRoutes } from './embed/snapshot-routes.ts'
import { createSnapshots } from './embed/snapshots.ts'
import { createReadVectors } from './embed/vector-rows.ts'
import type { Embedders } from './engine/embedder.ts'
import type { ReadVectors, VectorIndex } from './engine/vector-index.ts'
import type { Instances } from './instances/instances.ts'
import { openBossQueue } from './jobs/boss-queue.ts'
import { openLocalQueue } from './jobs/job-queue.ts'
import { isPostgres } from './storage/dialect.ts'
import type { Storage } from './storage/open-storage.ts'
import type { Metered } from './usage/metered.ts'

export type CollectionsOptions = Readonly<{
  metered: Metered
  instances: Instances
  log: FastifyBaseLogger
  embedders: Embedders
  openVectorIndex: (readVectors: ReadVectors) => VectorIndex
  now: () => number
}>

export type CollectionParts = Readonly<{
  collections: Collections
  passages: Passages
  search: PassageSearch
  caller: readonly FastifyPluginAsync[]
  user: readonly FastifyPluginAsync[]
}>

/** Collections, what they hold, the searches in them, and their routes. */
export async function openCollections(
  { dataDir, databaseUrl: url, maxQueue: maxWaiting }: Pick<Config, 'dataDir' | 'databaseUrl' | 'maxQueue'>,
  { embedders: models, openVectorIndex, instances, metered, log, now }: CollectionsOptions,
  { db, readSnapshot }: Storage,
  closer: Closer,
): Promise<CollectionParts> {
  const readVectors = createReadVectors(db)
  const files = await openSnapshotFiles(join(dataDir, 'snapshots'), { isAlone: instances.isAlone })
  // PostgreSQL finds the nearest vectors itself; nothing of them is kept in memory here.
  const vectorIndex = closer.use(
    isPostgres(db) ? createPostgresVectorIndex({ db, now: () => performance.now(), maxWaiting }) : openVectorIndex(readVectors),
  )
  const collections = createCollections({ db, models, vectorIndex, now })
  const passages = createPassages({ db, models, vectorIndex, now })
  const search = createPassageSearch({ db, models, vectorIndex })
  const snapshots = createSnapshots({ db, readSnapshot, files, vectorIndex, now })
  const wait = (ms: number, signal: AbortSignal) => setTimeout(ms, undefined, { signal })
  const openQueue = isPostgres(db) ? openBossQueue({ url, name: 're-embedding', log }) : openLocalQueue({ wait })
  const { id: instanceId } = instances
  const reEmbedding = closer.use(createReEmbedding({ db, models, vectorIndex, readVectors, instanceId, openQueue, now }))
  instances.onLook(reEmbedding.look, 'Collections that wait could not be looked for')
  const items = itemRoutes({ collections, passages, search, metered })
  const whole = collectionRoutes({ collections, passages, vectorIndex, reEmbedding })
  return {
    collections,
    passages,
    search,
    caller: [openToKeys('inference', [items.caller]), openToKeys('documents', [whole.caller])],
    user: [
      openToKeys('documents', [
        items.user,
        whole.user,
        snapshotRoutes({ collections, snapshots }),
        reEmbedRoutes({ reEmbedding }),
      ]),
    ],
  }
}
