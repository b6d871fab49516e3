import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import { createCollections } from '../src/embed/collections.ts'
import type { EmbeddingModels } from '../src/embed/embedding-models.ts'
import { createPassageSearch } from '../src/embed/passage-search.ts'
import { createPassages } from '../src/embed/passages.ts'
import { createPostgresVectorIndex } from '../src/embed/postgres-vector-index.ts'
import { createReadVectors } from '../src/embed/vector-rows.ts'
import { openStorage } from '../src/storage/open-storage.ts'
import type { Database } from '../src/storage/tables.ts'
import { createFakeModel, embeddersOf } from './fake-models.ts'
import { createFakeVectorIndex, type FakeVectorIndex } from './fake-vector-index.ts'
import { databaseAt, onPostgres } from './postgres/database-at.ts'

export const never = new AbortController().signal
export const ana = 'user-ana'
export const bea = 'user-bea'

export type CollectionsWorldOptions = Readonly<{
  models?: EmbeddingModels
  /** The folder of an earlier world: what it stored is there. */
  folder?: string
  createIndex?: typeof createFakeVectorIndex
}>

/** Collections over a database of their own with two users, fake models, and a fake index or that of PostgreSQL. */
export async function openCollections(options: CollectionsWorldOptions = {}) {
  const folder = options.folder ?? (await mkdtemp(join(tmpdir(), 'simpleia-collections-')))
  const models = options.models ?? embeddersOf(createFakeModel())
  const clock = { ms: Date.UTC(2026, 0, 1) }
  const now = () => clock.ms++
  const storage = await openStorage({ url: await databaseAt(join(folder, 'simpleia.db')), now })
  const { db } = storage
  for (const id of [ana, bea]) {
    const user = { id, username: id, usernameKey: id, passwordHash: '', role: 'user', tokenGeneration: 0 } as const
    await db
      .insertInto('users')
      .values({ ...user, createdAt: '', updatedAt: '' })
      .onConflict((conflict) => conflict.doNothing())
      .execute()
  }
  const createIndex = options.createIndex ?? (onPostgres ? () => openPostgresIndex(db) : createFakeVectorIndex)
  const vectorIndex = createIndex(createReadVectors(db))
  const parts = { db, models, vectorIndex, now }
  if (options.folder === undefined) onTestFinished(() => rm(folder, { recursive: true, force: true }))
  return {
    folder,
    storage,
    db,
    models,
    vectorIndex,
    now,
    collections: createCollections(parts),
    passages: createPassages(parts),
    search: createPassageSearch(parts),
    async close() {
      await vectorIndex.close()
      await storage.close()
    },
  }
}

export type CollectionsWorld = Awaited<ReturnType<typeof openCollections>>

const openPostgresIndex = (db: Database): FakeVectorIndex => ({
  ...createPostgresVectorIndex({ db, now: Date.now, maxWaiting: 64 }),
  spaces: new Map(),
})
