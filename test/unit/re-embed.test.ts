import { setImmediate } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createReEmbedding } from '../../src/embed/re-embed.ts'
import { createReadVectors } from '../../src/embed/vector-rows.ts'
import { AppError } from '../../src/errors.ts'
import { openLocalQueue } from '../../src/jobs/job-queue.ts'
import { ana, bea, type CollectionsWorldOptions, never, openCollections } from '../collections-world.ts'
import { createFakeModel, embeddersOf, type FakeModelOptions } from '../fake-models.ts'
import { createFakeVectorIndex } from '../fake-vector-index.ts'
import { onPostgres } from '../postgres/database-at.ts'

type Options = CollectionsWorldOptions & Readonly<{ passages?: number; next?: FakeModelOptions }>

/** A collection of "words" on its way to "next", with everything that takes part. */
async function openMove({ passages: count = 200, next: nextOptions = {}, ...options }: Options = {}) {
  const words = createFakeModel()
  const next = createFakeModel({ name: 'next', dimensions: 24, ...nextOptions })
  const world = await openCollections({ models: embeddersOf(words, next), ...options })
  const waits: number[] = []
  const createMove = () =>
    createReEmbedding({
      ...world,
      readVectors: createReadVectors(world.db),
      instanceId: 'one',
      openQueue: openLocalQueue({ wait: async (ms) => void waits.push(ms) }),
    })
  const move = createMove()
  onTestFinished(() => move.close())
  const collection = await world.collections.open(ana, 'default', 'words')
  const items = Array.from({ length: count }, (_, index) => ({
    itemId: `item ${index}`,
    text: `text number${index} of group${index % 7}`,
  }))
  if (options.folder === undefined && count > 0) await world.passages.add(collection, items, never)
  const current = () => world.collections.getOwn(ana, 'default')
  const find = async (text: string, k = 1) =>
    (await world.search.byVector(await current(), { text, k }, never)).map(({ itemId }) => itemId)
  const modelsInRows = async () => {
    const rows = await world.db
      .selectFrom('vectors')
      .select(({ fn }) => ['model', fn.countAll<number>().as('count')])
      .groupBy('model')
      .execute()
    return Object.fromEntries(rows.map(({ model, count }) => [model, count]))
  }
  return { ...world, words, next, move, createMove, waits, collection, current, find, modelsInRows }
}

describe('re-embedding', () => {
  test('moves a collection to another model, and removes the old vectors', async () => {
    const { move, current, find, modelsInRows, next, vectorIndex, collection } = await openMove()
    expect(await find('text number7 of group0')).toEqual(['item 7'])
    expect(await move.start(ana, 'default', 'next')).toMatchObject({ model: 'words', nextModel: 'next' })
    await move.idle()
    expect(await current()).toMatchObject({ id: collection.id, model: 'next', dimensions: 24, nextModel: undefined })
    expect(await move.progressOf(await current())).toBeUndefined()
    expect(await modelsInRows()).toEqual({ next: 200 })
    expect(await find('text number7 of group0')).toEqual(['item 7'])
    // PostgreSQL keeps none of them in memory.
    expect([...vectorIndex.spaces.keys()]).toEqual(onPostgres ? [] : [`${collection.id}:next`])
    expect(Math.max(...next.requests.map(({ texts }) => texts.length))).toBeLessThanOrEqual(64)
  })

  test('an empty collection has moved at once', async () => {
    const { move, current } = await openMove({ passages: 0 })
    await move.start(ana, 'default', 'next')
    await move.idle()
    expect(await current()).toMatchObject({ model: 'next', dimensions: 24 })
  })

  test('searches go on with the old vectors, and what is added, replaced and removed meanwhile is right afterwards', async () => {
    let meanwhile = async (_call: number) => {}
    let calls = 0
    const before = async () => {
      calls += 1
      await meanwhile(calls)
    }
    const { move, passages, collection, find, current, modelsInRows } = await openMove({ next: { before } })
    const seen: unknown[] = []
    meanwhile = async (call) => {
      if (call !== 3) return
      meanwhile = async () => {}
      expect(await move.progressOf(await current())).toMatchObject({ state: 'running', model: 'next', total: 200, done: 64 })
      seen.push(await find('text number199 of group3'))
      await passages.add(collection, [{ itemId: 'late', text: 'a late text' }], never)
      await passages.add(collection, [{ itemId: 'item 0', text: 'another text altogether' }], never)
      await passages.removeItems(collection, ['item 1', 'item 150'])
      seen.push(await find('a late text'))
    }
    await move.start(ana, 'default', 'next')
    await move.idle()
    expect(seen).toEqual([['item 199'], ['late']])
    expect(await current()).toMatchObject({ model: 'next' })
    expect(await modelsInRows()).toEqual({ next: 199 })
    expect(await find('a late text')).toEqual(['late'])
    expect(await find('another text altogether')).toEqual(['item 0'])
    expect(await find('text number150 of group3')).not.toEqual(['item 150'])
  })

  test('what was added while the new model failed is made up for before the switch', async () => {
    let fails = false
    const before = ({ texts }: { texts: readonly string[] }) => {
      if (fails && texts[0] === 'gap') throw new AppError('busy', 'Full.')
    }
    const { move, passages, collection, next, current, find, modelsInRows } = await openMove({ next: { before } })
    fails = true
    const real = next.encode
    let calls = 0
    Object.assign(next, {
      async encode(...parameters: Parameters<typeof real>) {
        calls += 1
        if (calls === 4) {
          await passages.add(collection, [{ itemId: 'gap', text: 'gap' }], never)
          fails = false
        }
        return real(...parameters)
      },
    })
    await move.start(ana, 'default', 'next')
    await move.idle()
    expect(await current()).toMatchObject({ model: 'next' })
    expect(await modelsInRows()).toEqual({ next: 201 })
    expect(await find('gap')).toEqual(['gap'])
  })

  test('texts that are too long for the new model are cut, and counted', async () => {
    const { move, current, next } = await openMove({ next: { maxTokens: 23 } })
    const counted: unknown[] = []
    const real = next.encode
    Object.assign(next, {
      async encode(...parameters: Parameters<typeof real>) {
        counted.push(await move.progressOf(await current()))
        return real(...parameters)
      },
    })
    await move.start(ana, 'default', 'next')
    await move.idle()
    expect(counted.at(-1)).toMatchObject({ truncated: 100, done: 200 })
  })

  test('a model that is busy is asked again later; one that fails is told, and begun again by hand', async () => {
    const failures: unknown[] = [new AppError('busy', 'Full.'), new AppError('unavailable', 'Gone.'), new Error('secret words')]
    const before = () => {
      const failure = failures.shift()
      if (failure !== undefined) throw failure
    }
    const { move, current, waits } = await openMove({ next: { before } })
    await move.start(ana, 'default', 'next')
    for (let turn = 0; turn < 1000 && (await move.progressOf(await current()))?.state !== 'failed'; turn += 1)
      await setImmediate()
    expect(waits).toEqual([1000, 2000])
    expect(await move.progressOf(await current())).toMatchObject({
      state: 'failed',
      reason: expect.not.stringContaining('secret'),
    })
    expect(await current()).toMatchObject({ model: 'words', nextModel: 'next' })
    await move.start(ana, 'default', 'next')
    await move.idle()
    expect(await current()).toMatchObject({ model: 'next' })
  })

  test('an index that does not find what it should stops the switch, and the old vectors go on answering', async () => {
    const createIndex: typeof createFakeVectorIndex = (read) => {
      const index = createFakeVectorIndex(read)
      const search: typeof index.search = async (space, query, signal) => {
        const hits = await index.search(space, { ...query, k: query.k * 3 }, signal)
        return space.key.endsWith(':next') ? hits.slice(query.k) : hits.slice(0, query.k)
      }
      return { ...index, search }
    }
    const { move, current, find } = await openMove({ createIndex })
    await move.start(ana, 'default', 'next')
    await move.idle()
    expect(await move.progressOf(await current())).toMatchObject({ state: 'failed', reason: expect.stringContaining('0 %') })
    expect(await current()).toMatchObject({ model: 'words', nextModel: 'next' })
    expect(await find('text number7 of group0')).toEqual(['item 7'])
  })

  test('vectors of the wrong texts stop the switch', async () => {
    let isFilling = true
    const { move, current, next } = await openMove({})
    const real = next.encode
    Object.assign(next, {
      async encode(...[request, signal]: Parameters<typeof real>) {
        const answer = await real(request, signal)
        if (request.texts.length === 32) isFilling = false
        return isFilling && request.texts.length > 1 ? { ...answer, vectors: answer.vectors.toReversed() } : answer
      },
    })
    await move.start(ana, 'default', 'next')
    await move.idle()
    expect(await move.progressOf(await current())).toMatchObject({ state: 'failed' })
    expect(await current()).toMatchObject({ model: 'words' })
  })

  test('given up, it leaves nothing of the new model', async () => {
    let cancel = async () => {}
    const { move, current, modelsInRows, find } = await openMove({
      next: { before: ({ texts }) => (texts.length > 1 ? cancel() : undefined) },
    })
    cancel = async () => {
      cancel = async () => {}
      await move.cancel(ana, 'default')
    }
    await move.start(ana, 'default', 'next')
    await move.idle()
    expect(await current()).toMatchObject({ model: 'words', nextModel: undefined })
    expect(await modelsInRows()).toEqual({ words: 200 })
    expect(await find('text number7 of group0')).toEqual(['item 7'])
    await expect(move.cancel(ana, 'default')).rejects.toMatchObject({ code: 'conflict' })
  })

  test('a collection that is removed under way takes all along', async () => {
    let remove = async () => {}
    const { move, collections, modelsInRows, vectorIndex } = await openMove({
      next: { before: ({ texts }) => (texts.length > 1 ? remove() : undefined) },
    })
    remove = async () => {
      remove = async () => {}
      await collections.remove(ana, 'default')
    }
    await move.start(ana, 'default', 'next')
    await move.idle()
    expect(await modelsInRows()).toEqual({})
    expect(vectorIndex.spaces.size).toBe(0)
  })

  test('stopped with the service, it goes on at the next start where it was', async () => {
    let stop = async () => {}
    let calls = 0
    const before = async () => {
      calls += 1
      if (calls === 4) await stop()
    }
    const first = await openMove({ next: { before } })
    let closed: Promise<void> | undefined
    stop = async () => {
      closed = first.move.close()
    }
    await first.move.start(ana, 'default', 'next')
    await first.move.idle()
    await closed
    expect(await first.modelsInRows()).toMatchObject({ words: 200 })
    await first.close()
    const again = await openMove({ folder: first.folder })
    await again.move.idle()
    expect(await again.current()).toMatchObject({ model: 'next' })
    expect(await again.modelsInRows()).toEqual({ next: 200 })
    const asked = again.next.requests.filter(({ purpose, texts }) => purpose === 'document' && texts.length > 1)
    expect(asked.reduce((sum, { texts }) => sum + texts.length, 0)).toBeLessThan(200)
    await again.close()
  })

  test('is for the owner, with a model that is there and is another', async () => {
    const { move, collections } = await openMove()
    await collections.share(ana, 'default', true)
    const { id } = await collections.getOwn(ana, 'default')
    for (const other of [bea, null]) {
      await expect(move.start(other, id, 'next')).rejects.toMatchObject({ code: 'not_found' })
      await expect(move.cancel(other, id)).rejects.toMatchObject({ code: 'not_found' })
    }
    await expect(move.start(ana, 'default', 'nowhere')).rejects.toMatchObject({ code: 'not_found' })
    await expect(move.start(ana, 'default')).rejects.toMatchObject({ code: 'conflict' })
    await expect(move.cancel(ana, 'default')).rejects.toMatchObject({ code: 'conflict' })
  })
})
