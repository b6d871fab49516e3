import { deepEqual, equal, ok } from 'node:assert/strict'
import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { setImmediate as nextTurn } from 'node:timers/promises'
import { sql } from 'kysely'
import type { Collection } from '../../src/embed/collection.ts'
import { createCollections } from '../../src/embed/collections.ts'
import { createPassages } from '../../src/embed/passages.ts'
import { createReEmbedding } from '../../src/embed/re-embed.ts'
import { openSnapshotFiles } from '../../src/embed/snapshot-files.ts'
import { createSnapshots } from '../../src/embed/snapshots.ts'
import { createReadVectors, toVector } from '../../src/embed/vector-rows.ts'
import { openLocalQueue } from '../../src/jobs/job-queue.ts'
import { isPostgres } from '../../src/storage/dialect.ts'
import type { Database } from '../../src/storage/tables.ts'
import { checkWords } from '../check-words.ts'
import { createFakeVectorIndex } from '../fake-vector-index.ts'
import { batchOf, batchSize, documentOf, killedModels, killedOwner as owner } from './batches.ts'
import type { RowsParts } from './rows-parts.ts'
import type { SavePath } from './save-paths.ts'

const never = new AbortController().signal
/** Of the collection that is added to, before it is emptied: the last processes are to be no slower than the first. */
const mostPassages = 600

/** A collection that is added to, saved in files, and re-embedded. */
export async function openCollectionPaths({ storage, db, folder, life, now }: RowsParts): Promise<readonly SavePath[]> {
  const models = killedModels()
  const readVectors = createReadVectors(db)
  const vectorIndex = createFakeVectorIndex(readVectors)
  const openQueue = openLocalQueue({ wait: () => nextTurn() })
  const parts = { db, models, vectorIndex, readVectors, now, openQueue, readSnapshot: storage.readSnapshot }
  const collections = createCollections(parts)
  const passages = createPassages(parts)
  const snapshotsDir = join(folder, 'snapshots')
  const snapshots = createSnapshots({ ...parts, files: await openSnapshotFiles(snapshotsDir) })
  const getOwn = () => collections.getOwn(owner, 'default')
  const collection = await collections.open(owner, 'default').catch(getOwn)
  // After the first check, which is to see what was left.
  let reEmbedding: ReturnType<typeof createReEmbedding> | undefined
  const openReEmbedding = () => {
    reEmbedding ??= createReEmbedding({ ...parts, instanceId: String(process.pid) })
    return reEmbedding
  }

  return [
    {
      name: 'collection',
      async check({ saved }) {
        await checkDatabase(db)
        const batches = await checkCollection(db, await getOwn())
        for (const name of saved) ok(batches.has(name), `the batch ${name} is gone`)
        await removeMany(db, collection, passages.removeItems)
      },
      async save(name) {
        await passages.add(collection, batchOf(name), never)
        // The same items and the same source again, so that there is something to replace.
        await passages.add(collection, batchOf(name, 'again', `r${life}`), never)
        const { document, chunks } = documentOf(name)
        await passages.replaceDocument(collection, document, chunks, never)
      },
    },
    {
      name: 'snapshot',
      async check({ newest }) {
        const names = (await snapshots.list(owner)).map(({ name }) => name)
        if (!newest.has(undefined)) deepEqual(names, ['copy'])
        deepEqual(
          await readdir(join(snapshotsDir, owner)).catch(() => []),
          names.map((name) => `${name}.snapshot`),
        )
        if (names.length === 0 || life % 5 !== 0) return
        await snapshots.load(owner, 'copy', `look-${life}`)
        await checkCollection(db, await collections.getOwn(owner, `look-${life}`))
        await collections.remove(owner, `look-${life}`)
      },
      save: async () => void (await snapshots.save(owner, collection, 'copy')),
    },
    {
      name: 're-embedding',
      check: async () => {},
      async save() {
        const { idle, start } = openReEmbedding()
        await idle()
        const { model, nextModel } = await getOwn()
        await start(owner, 'default', nextModel ?? (model === 'words' ? 'next' : 'words'))
        await idle()
      },
      async settle() {
        await openReEmbedding().idle()
        const { nextModel, model } = await getOwn()
        equal(nextModel, undefined, 'it was not taken to its end')
        const kept = await db.selectFrom('vectors').select('model').distinct().execute()
        deepEqual(new Set([model, ...kept.map((row) => row.model)]), new Set([model]))
      },
    },
  ]
}

async function checkDatabase(db: Database): Promise<void> {
  if (!isPostgres(db)) {
    const { rows } = await sql<{ integrity_check: string }>`pragma integrity_check`.execute(db)
    deepEqual(Object.values(rows[0] ?? {}), ['ok'])
  }
  await checkWords(db)
}

/** Each batch is there whole, in one state, with the vectors of its texts. Gives the names of the batches. */
async function checkCollection(db: Database, { id, model }: Collection): Promise<Set<string>> {
  const rows = await db.selectFrom('passages').selectAll().where('collectionId', '=', id).orderBy('id').execute()
  const batches = Map.groupBy(rows, ({ itemId, documentId }) => documentId ?? itemId.split('/')[0] ?? '')
  for (const [batch, ofBatch] of batches) {
    const size = ofBatch[0]?.documentId === null ? batchSize : 5
    const states = new Set(ofBatch.map(({ metadata }) => metadata)).size
    deepEqual({ batch, size: ofBatch.length, states }, { batch, size, states: 1 })
  }
  const vectors = await db
    .selectFrom('vectors')
    .innerJoin('passages', 'passages.id', 'vectors.passageId')
    .select(['passages.text', 'vectors.vector', 'vectors.model'])
    .where('passages.collectionId', '=', id)
    .execute()
  const byModel = Map.groupBy(vectors, (row) => row.model)
  equal(byModel.get(model)?.length ?? 0, rows.length, 'not every passage has its vector')
  for (const [name, ofModel] of byModel) {
    const known = await killedModels().find(name)
    const right = await known?.encode({ texts: ofModel.map(({ text }) => text), truncate: false }, never)
    for (const [index, { vector, text }] of ofModel.entries())
      deepEqual(toVector(vector), right?.vectors[index], `the vector of ${text} is another one`)
  }
  return new Set(batches.keys())
}

type RemoveItems = ReturnType<typeof createPassages>['removeItems']

async function removeMany(db: Database, collection: Collection, removeItems: RemoveItems): Promise<void> {
  const items = await db
    .selectFrom('passages')
    .select('itemId')
    .where('collectionId', '=', collection.id)
    .where('documentId', 'is', null)
    .execute()
  const ids = items.map(({ itemId }) => itemId)
  if (ids.length > mostPassages) await removeItems(collection, ids)
}
