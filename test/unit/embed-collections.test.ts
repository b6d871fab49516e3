import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import type { Document, NewDocument } from '../../src/embed/collection.ts'
import { toVector } from '../../src/embed/vector-rows.ts'
import type { Database } from '../../src/storage/tables.ts'
import { checkWords } from '../check-words.ts'
import { ana, bea, type CollectionsWorld, never, openCollections } from '../collections-world.ts'
import { createFakeModel, embeddersOf } from '../fake-models.ts'
import { createFakeVectorIndex } from '../fake-vector-index.ts'
import { onPostgres } from '../postgres/database-at.ts'

const file = (source: string): NewDocument => ({
  name: source,
  source,
  mediaType: 'text/plain',
  sha256: source.padEnd(64, '0'),
  sizeBytes: 10,
})
const chunksOf = (...texts: string[]) => texts.map((text, index) => ({ text, place: { page: index + 1, section: 'Part' } }))

async function countOf(db: CollectionsWorld['db'], table: 'passages' | 'vectors' | 'documents' | 'collections'): Promise<number> {
  const { count } = await db
    .selectFrom(table)
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return count
}

async function textsFound({ search, collections }: CollectionsWorld, text: string, k = 10): Promise<string[]> {
  const collection = await collections.getOwn(ana, 'default')
  return (await search.byVector(collection, { text, k }, never)).map((passage) => passage.text)
}

test('a chunk is found by the headings above it, by meaning and by words', async () => {
  const { collections, passages, search } = await openCollections()
  const collection = await collections.open(ana, 'default')
  const chunks = [
    { text: 'It closes at nine.', place: { section: 'Museum > Hours' } },
    { text: 'It closes at nine today.', place: { section: 'Library > Hours' } },
  ]
  await passages.replaceDocument(collection, file('a.txt'), chunks, never)
  const query = { text: 'museum', k: 1 }
  expect(await search.byVector(collection, query, never)).toMatchObject([{ text: 'It closes at nine.' }])
  expect(await search.byWords(collection, query)).toMatchObject([{ text: 'It closes at nine.' }])
})

describe('whose a collection is', () => {
  test('a missing name is made for its writer; reading makes none', async () => {
    const { collections } = await openCollections()
    expect(await collections.find(ana, 'default')).toBeUndefined()
    const made = await collections.open(ana, 'default')
    expect(made).toMatchObject({ ownerId: ana, name: 'default', model: 'words', dimensions: 32, isShared: false })
    expect(await collections.open(ana, 'default')).toEqual(made)
    expect(await collections.open(ana, made.id)).toEqual(made)
  })

  test('two that make the same name at once get the same one', async () => {
    const { collections } = await openCollections()
    const made = await Promise.all(Array.from({ length: 5 }, () => collections.open(ana, 'notes')))
    expect(new Set(made.map(({ id }) => id)).size).toBe(1)
  })

  test('others see it once it is shared, and change it never', async () => {
    const { collections } = await openCollections()
    const { id } = await collections.open(ana, 'notes')
    for (const other of [bea, null]) {
      expect(await collections.find(other, id)).toBeUndefined()
      expect(await collections.list(other)).toEqual([])
    }
    await collections.share(ana, 'notes', true)
    for (const other of [bea, null]) {
      expect(await collections.find(other, id)).toMatchObject({ id, isShared: true })
      expect(await collections.find(other, 'notes')).toMatchObject({ id })
      expect((await collections.list(other)).map((one) => one.id)).toEqual([id])
      await expect(collections.open(other, id)).rejects.toMatchObject({ code: 'not_found' })
      await expect(collections.getOwn(other, id)).rejects.toMatchObject({ code: 'not_found' })
      await expect(collections.share(other, id, false)).rejects.toMatchObject({ code: 'not_found' })
      await expect(collections.remove(other, id)).rejects.toMatchObject({ code: 'not_found' })
    }
    await collections.share(ana, id, false)
    expect(await collections.find(bea, id)).toBeUndefined()
  })

  test("one's own comes before one that is shared under the same name", async () => {
    const { collections } = await openCollections()
    await collections.open(ana, 'notes')
    await collections.share(ana, 'notes', true)
    const own = await collections.open(bea, 'notes')
    expect(await collections.find(bea, 'notes')).toEqual(own)
    expect(await collections.list(bea)).toHaveLength(2)
  })

  test('callers without a name have what has no owner, which is not theirs who have one', async () => {
    const { collections } = await openCollections()
    const { id } = await collections.open(null, 'default')
    expect(await collections.find(null, 'default')).toMatchObject({ id })
    expect(await collections.find(ana, id)).toBeUndefined()
  })

  test.each(['', ' ', 'a\nb', 'a\u0000b', ' a', 'x'.repeat(101), 'a\u202eb', crypto.randomUUID()])(
    'the name %j is refused',
    async (name) => {
      const { collections } = await openCollections()
      await expect(collections.open(ana, name)).rejects.toMatchObject({ code: expect.stringMatching(/invalid|not_found/) })
      expect(await collections.list(ana)).toEqual([])
    },
  )

  test('removing takes everything in it along, and nothing else', async () => {
    const world = await openCollections()
    const { collections, passages, db, search } = world
    for (const name of ['one', 'two']) {
      const collection = await collections.open(ana, name)
      await passages.add(collection, [{ text: `text of ${name}` }], never)
      await passages.replaceDocument(collection, file('a.txt'), chunksOf('a chunk'), never)
    }
    await collections.remove(ana, 'one')
    for (const [table, count] of [
      ['collections', 1],
      ['documents', 1],
      ['passages', 2],
      ['vectors', 2],
    ] as const)
      expect(await countOf(db, table)).toBe(count)
    await checkWords(db)
    const left = await collections.getOwn(ana, 'two')
    expect(await search.byWords(left, { text: 'text one', k: 9 })).toMatchObject([{ text: 'text of two' }])
  })
})

describe('what is added', () => {
  test('is found, best first, with the cosine, and texts are told from queries', async () => {
    const model = createFakeModel()
    const { collections, passages, search } = await openCollections({ models: embeddersOf(model) })
    const collection = await collections.open(ana, 'default')
    const ids = await passages.add(collection, [{ text: 'red apple' }, { text: 'green pear', itemId: 'pear' }], never)
    expect(ids).toEqual([expect.any(String), 'pear'])
    const [first, second] = await search.byVector(collection, { text: 'green pear', k: 2 }, never)
    expect(first).toMatchObject({ itemId: 'pear', metadata: {}, documentId: undefined, score: expect.closeTo(1, 5) })
    expect(second?.score).toBeLessThan(0.9)
    expect(model.requests.map(({ purpose }) => purpose)).toEqual(['document', 'document', 'query'])
  })

  test('goes to the model in pieces, and keeps its order', async () => {
    const model = createFakeModel()
    const { collections, passages, search } = await openCollections({ models: embeddersOf(model) })
    const collection = await collections.open(ana, 'default')
    const items = Array.from({ length: 150 }, (_, index) => ({ text: `word${index} of many`, itemId: `item ${index}` }))
    expect(await passages.add(collection, items, never)).toEqual(items.map(({ itemId }) => itemId))
    expect(model.requests.map(({ texts }) => texts.length)).toEqual([1, 64, 64, 22])
    for (const { text, itemId } of [items[0], items[63], items[64], items[149]].filter((item) => item !== undefined)) {
      const [best] = await search.byVector(collection, { text, k: 1 }, never)
      expect(best).toMatchObject({ itemId, text, score: expect.closeTo(1, 5) })
    }
  })

  test('under an id that is there takes its place; deleted and added again, it is there once', async () => {
    const world = await openCollections()
    const { collections, passages, db } = world
    const collection = await collections.open(ana, 'default')
    await passages.add(collection, [{ text: 'old words', itemId: 'a' }], never)
    expect(await textsFound(world, 'old words')).toEqual(['old words'])
    await passages.add(collection, [{ text: 'new words', itemId: 'a', metadata: { year: 2026 } }], never)
    expect(await textsFound(world, 'old words')).toEqual(['new words'])
    expect(await passages.removeItems(collection, ['a', 'never there'])).toBe(1)
    expect(await textsFound(world, 'new words')).toEqual([])
    await passages.add(collection, [{ text: 'new words', itemId: 'a' }], never)
    expect(await textsFound(world, 'new words')).toEqual(['new words'])
    expect([await countOf(db, 'passages'), await countOf(db, 'vectors')]).toEqual([1, 1])
  })

  test.each([
    [
      'one id twice',
      [
        { text: 'a', itemId: 'x' },
        { text: 'b', itemId: 'x' },
      ],
    ],
    ['half a surrogate pair', [{ text: 'fine' }, { text: '\ud800' }]],
    ['an empty text', [{ text: '' }]],
    ['metadata without end', [{ text: 'a', metadata: JSON.parse(`${'{"a":'.repeat(40)}1${'}'.repeat(40)}`) }]],
  ])('%s is refused, and nothing of it is kept', async (_, items) => {
    const { collections, passages, db } = await openCollections()
    const collection = await collections.open(ana, 'default')
    await expect(passages.add(collection, items, never)).rejects.toMatchObject({ code: 'invalid' })
    expect(await countOf(db, 'passages')).toBe(0)
  })

  test('is all there or not at all when the model fails in the middle, and when the disk is full', async () => {
    let calls = 0
    const fails = createFakeModel({
      before: () => {
        calls += 1
        if (calls === 4) throw new Error('The model broke.')
      },
    })
    const world = await openCollections({ models: embeddersOf(fails) })
    const { collections, passages, db } = world
    const collection = await collections.open(ana, 'default')
    const many = Array.from({ length: 200 }, (_, index) => ({ text: `text ${index} ${'x'.repeat(500)}` }))
    await expect(passages.add(collection, many, never)).rejects.toThrow('The model broke.')
    await fillDisk(db)
    await expect(passages.add(collection, many, never)).rejects.toMatchObject({ code: 'storage_full' })
    expect([await countOf(db, 'passages'), await countOf(db, 'vectors')]).toEqual([0, 0])
    expect(await textsFound(world, 'text')).toEqual([])
  })

  test('stays findable when the index could not be told', async () => {
    const world = await openCollections({
      createIndex: (read) => ({
        ...createFakeVectorIndex(read),
        add: async () => {
          throw new Error('The process died.')
        },
      }),
    })
    const collection = await world.collections.open(ana, 'default')
    expect(await textsFound(world, 'anything')).toEqual([])
    await world.passages.add(collection, [{ text: 'anything' }], never)
    expect(await textsFound(world, 'anything')).toEqual(['anything'])
  })

  test('to a collection that is removed while its vectors are made is refused', async () => {
    let meanwhile = async () => {}
    const model = createFakeModel({ before: ({ texts }) => (texts[0] === 'late' ? meanwhile() : undefined) })
    const { collections, passages, db } = await openCollections({ models: embeddersOf(model) })
    const collection = await collections.open(ana, 'default')
    meanwhile = () => collections.remove(ana, 'default')
    await expect(passages.add(collection, [{ text: 'late' }], never)).rejects.toMatchObject({ code: 'not_found' })
    expect(await countOf(db, 'passages')).toBe(0)
  })

  test('to a collection that gets another model meanwhile has vectors of that model', async () => {
    let meanwhile = async () => {}
    const before = ({ texts }: { texts: readonly string[] }) => (texts[0] === 'late' ? meanwhile() : undefined)
    const [one, other] = [createFakeModel({ before }), createFakeModel({ name: 'other', dimensions: 16 })]
    const { collections, passages, db } = await openCollections({ models: embeddersOf(one, other) })
    const collection = await collections.open(ana, 'default')
    meanwhile = async () => {
      await db.updateTable('collections').set({ model: 'other', dimensions: 16 }).execute()
    }
    await passages.add(collection, [{ text: 'late' }], never)
    const vectors = await db.selectFrom('vectors').selectAll().execute()
    expect(vectors.map(({ model, vector }) => [model, toVector(vector).length])).toEqual([['other', 16]])
  })
})

describe('documents', () => {
  test('the same source in a new version keeps its id and none of its old chunks', async () => {
    const world = await openCollections()
    const { collections, passages, search, db } = world
    const collection = await collections.open(ana, 'default')
    const first = await passages.replaceDocument(collection, file('a.txt'), chunksOf('marker one', 'second', 'third'), never)
    expect(await textsFound(world, 'marker one', 1)).toEqual(['marker one'])
    const next = await passages.replaceDocument(collection, file('a.txt'), chunksOf('version two'), never)
    expect(next).toMatchObject({ id: first.id, createdAt: first.createdAt, passages: 1 })
    expect(await textsFound(world, 'marker one')).toEqual(['version two'])
    expect(await search.byWords(collection, { text: 'marker', k: 5 })).toEqual([])
    await passages.replaceDocument(collection, file('a.txt'), chunksOf('version two'), never)
    for (const table of ['documents', 'passages', 'vectors'] as const) expect(await countOf(db, table)).toBe(1)
    await passages.removeDocument(next)
    for (const table of ['documents', 'passages', 'vectors'] as const) expect(await countOf(db, table)).toBe(0)
    expect(await textsFound(world, 'version two')).toEqual([])
    await expect(passages.removeDocument(next)).rejects.toMatchObject({ code: 'not_found' })
  })

  test('a deleted document is not found after a restart either', async () => {
    const first = await openCollections()
    const collection = await first.collections.open(ana, 'default')
    const document = await first.passages.replaceDocument(collection, file('a.txt'), chunksOf('marker'), never)
    await first.passages.replaceDocument(collection, file('b.txt'), chunksOf('other'), never)
    await first.passages.removeDocument(document)
    await first.close()
    const again = await openCollections({ folder: first.folder })
    expect(await textsFound(again, 'marker')).toEqual(['other'])
    await again.close()
  })

  test('chunks know their place, and are listed by position', async () => {
    const { collections, passages } = await openCollections()
    const collection = await collections.open(ana, 'default')
    const { id } = await passages.replaceDocument(collection, file('a.txt'), chunksOf('one', 'two', 'three'), never)
    const chunks = await passages.listChunks(id, { from: 1, to: 7 })
    expect(chunks).toMatchObject([
      { text: 'two', position: 1, documentId: id, place: { page: 2, section: 'Part' } },
      { text: 'three', position: 2 },
    ])
    expect(await passages.findDocument(collection, { source: 'a.txt' })).toMatchObject({ id, passages: 3 })
    expect(await passages.findDocument(collection, { id })).toMatchObject({ id })
    expect(await passages.count(collection)).toEqual({ documents: 1, passages: 3 })
  })

  test('are listed a page at a time', async () => {
    const { collections, passages } = await openCollections()
    const collection = await collections.open(ana, 'default')
    for (const name of ['a', 'b', 'c', 'd', 'e']) await passages.replaceDocument(collection, file(name), chunksOf(name), never)
    const pages: string[][] = []
    for (let after: Document | undefined; pages.length < 4; ) {
      const page = await passages.listDocuments(collection, { limit: 2, ...(after === undefined ? {} : { after }) })
      if (page.length === 0) break
      pages.push(page.map(({ name }) => name))
      after = page.at(-1)
    }
    expect(pages).toEqual([['a', 'b'], ['c', 'd'], ['e']])
  })

  test('the next page comes although the last document of the one before was removed', async () => {
    const { collections, passages } = await openCollections()
    const collection = await collections.open(ana, 'default')
    for (const name of ['a', 'b', 'c']) await passages.replaceDocument(collection, file(name), chunksOf(name), never)
    const [, last] = await passages.listDocuments(collection, { limit: 2 })
    if (last === undefined) throw new Error('There is no second document.')
    await passages.removeDocument(last)
    expect(await passages.listDocuments(collection, { limit: 2, after: last })).toMatchObject([{ name: 'c' }])
  })

  test('others find them where the collection is shared, and know that they are not theirs', async () => {
    const { collections, passages } = await openCollections()
    const collection = await collections.open(ana, 'default')
    const { id } = await passages.replaceDocument(collection, file('a.txt'), chunksOf('one'), never)
    expect(await passages.findDocumentOf(ana, id)).toMatchObject({ isOwn: true, document: { id } })
    expect(await passages.findDocumentOf(bea, id)).toBeUndefined()
    await collections.share(ana, 'default', true)
    expect(await passages.findDocumentOf(bea, id)).toMatchObject({ isOwn: false, document: { id } })
  })

  test('a chunk cannot be replaced or removed as if it were an item', async () => {
    const { collections, passages } = await openCollections()
    const collection = await collections.open(ana, 'default')
    const { id } = await passages.replaceDocument(collection, file('a.txt'), chunksOf('one'), never)
    const [chunk] = await passages.listChunks(id, { from: 0, to: 0 })
    const itemId = chunk?.itemId ?? ''
    await expect(passages.removeItems(collection, [itemId])).rejects.toMatchObject({ code: 'conflict' })
    await expect(passages.add(collection, [{ itemId, text: 'x' }], never)).rejects.toMatchObject({ code: 'conflict' })
    expect(await passages.listChunks(id, { from: 0, to: 0 })).toMatchObject([{ text: 'one' }])
  })
})

describe('another model', () => {
  test('is told on writing, with both names and sizes and the way out, and the index stays; reading goes on', async () => {
    const [small, large] = [createFakeModel(), createFakeModel({ name: 'large', dimensions: 48 })]
    const first = await openCollections({ models: embeddersOf(small) })
    const { id } = await first.collections.open(ana, 'default')
    await first.passages.add(await first.collections.getOwn(ana, 'default'), [{ text: 'red apple' }], never)
    await first.close()
    const again = await openCollections({ folder: first.folder, models: embeddersOf(large, small) })
    const error = await again.collections.open(ana, 'default').catch((reason: unknown) => reason)
    expect(error).toMatchObject({ code: 'conflict' })
    for (const part of ['"words"', '32 dimensions', '"large"', '48 dimensions', `/embed/collections/${id}/re-embed`])
      expect(String(error)).toContain(part)
    expect(await textsFound(again, 'red apple')).toEqual(['red apple'])
    expect(await again.collections.open(ana, 'default', 'words')).toMatchObject({ id })
    await again.close()
    const without = await openCollections({ folder: first.folder, models: embeddersOf(large) })
    await expect(textsFound(without, 'red apple')).rejects.toMatchObject({ code: 'conflict' })
    expect(await countOf(without.db, 'vectors')).toBe(1)
    await without.close()
  })

  test('of the same size, or other weights under the same name, are told too', async () => {
    const first = await openCollections()
    const collection = await first.collections.open(ana, 'default')
    await first.close()
    const sameSize = await openCollections({ folder: first.folder, models: embeddersOf(createFakeModel({ name: 'twin' })) })
    await expect(sameSize.collections.open(ana, 'default')).rejects.toMatchObject({ code: 'conflict' })
    await sameSize.close()
    for (const dimensions of [31, 33, 64]) {
      const again = await openCollections({ folder: first.folder, models: embeddersOf(createFakeModel({ dimensions })) })
      const error = await again.passages.add(collection, [{ text: 'a' }], never).catch((reason: unknown) => reason)
      expect(error).toMatchObject({ code: 'conflict', message: expect.stringContaining(`${dimensions} dimensions`) })
      await expect(textsFound(again, 'a')).rejects.toMatchObject({ code: 'conflict' })
      expect(await countOf(again.db, 'passages')).toBe(0)
      await again.close()
    }
  })
})

/** Lets some more be written, and then nothing. */
async function fillDisk(db: Database): Promise<void> {
  if (onPostgres) {
    await sql`create function refuse() returns trigger language plpgsql as
      'begin if new.passage_id % 200 = 150 then raise exception using errcode = ''disk_full''; end if; return new; end'`.execute(
      db,
    )
    await sql`create trigger full_disk after insert on vectors for each row execute function refuse()`.execute(db)
    return
  }
  const { rows } = await sql<{ page_count: number }>`pragma page_count`.execute(db)
  await sql`pragma max_page_count = ${sql.raw(String(Object.values(rows[0] ?? {})[0]))}`.execute(db)
}
