import { join } from 'node:path'
import { expect, test } from 'vitest'
import { createReEmbedding } from '../../src/embed/re-embed.ts'
import { openSnapshotFiles } from '../../src/embed/snapshot-files.ts'
import { createSnapshots } from '../../src/embed/snapshots.ts'
import { createReadVectors } from '../../src/embed/vector-rows.ts'
import { createVectorIndex, spawnVectorIndex, type VectorChild } from '../../src/engine/local/vector-process.ts'
import { openLocalQueue } from '../../src/jobs/job-queue.ts'
import { ana, never, openCollections } from '../collections-world.ts'
import { createFakeModel, embeddersOf } from '../fake-models.ts'
import type { createFakeVectorIndex } from '../fake-vector-index.ts'
import { onPostgres } from '../postgres/database-at.ts'

test('with the real index: all that is written is found, and goes on being found when its process is killed', async () => {
  const children: VectorChild[] = []
  const createIndex: typeof createFakeVectorIndex = (readVectors) => {
    const spawn = () => {
      const child = spawnVectorIndex(() => {})
      children.push(child)
      return child
    }
    return { ...createVectorIndex({ spawn, readVectors, maxWaiting: 8 }), spaces: new Map() }
  }
  const world = await openCollections({
    models: embeddersOf(createFakeModel({ dimensions: 512 }), createFakeModel({ name: 'next', dimensions: 768 })),
    // PostgreSQL has its own.
    ...(onPostgres ? {} : { createIndex }),
  })
  const { collections, passages, search, db } = world
  const collection = await collections.open(ana, 'default')
  const find = async (text: string) => (await search.byVector(collection, { text, k: 1 }, never)).map((found) => found.itemId)
  const items = (from: number, to: number) =>
    Array.from({ length: to - from }, (_, index) => ({
      itemId: `${from + index}`,
      text: `number${from + index} group${index % 7}`,
    }))

  await passages.add(collection, items(0, 700), never)
  expect(await find('number650 group6')).toEqual(['650'])
  await passages.add(collection, items(700, 900), never)
  expect(await find('number800 group2')).toEqual(['800'])
  await passages.removeItems(collection, ['800'])
  expect(await find('number800 group2')).not.toEqual(['800'])
  await passages.add(
    collection,
    [
      { itemId: '650', text: 'something else' },
      { itemId: '800', text: 'number800 group2' },
    ],
    never,
  )
  expect(await find('something else')).toEqual(['650'])
  expect(await find('number800 group2')).toEqual(['800'])

  const files = await openSnapshotFiles(join(world.folder, 'snapshots'))
  const snapshots = createSnapshots({ ...world, files, readSnapshot: world.storage.readSnapshot })
  await snapshots.save(ana, collection, 'copy')
  await passages.removeItems(collection, ['650'])
  await snapshots.load(ana, 'copy', undefined)
  expect(await find('something else')).toEqual(['650'])

  const move = createReEmbedding({
    ...world,
    readVectors: createReadVectors(db),
    instanceId: 'one',
    openQueue: openLocalQueue({ wait: async () => {} }),
  })
  await move.start(ana, 'default', 'next')
  await move.idle()
  expect(await collections.getOwn(ana, 'default')).toMatchObject({ model: 'next', nextModel: undefined })
  expect(await find('something else')).toEqual(['650'])
  await passages.add(collection, [{ itemId: 'late', text: 'a late one' }], never)
  expect(await find('a late one')).toEqual(['late'])

  for (const child of children) child.kill()
  const after = async () => find('something else').catch(() => find('something else'))
  expect(await after()).toEqual(['650'])
  await move.close()
  expect(children.length).toBe(onPostgres ? 0 : 2)
  await world.close()
})
