import fc from 'fast-check'
import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { readFilter, toCondition } from '../../src/embed/metadata-filter.ts'
import { metadataIn } from '../../src/embed/metadata-values.ts'
import { toWordQuery } from '../../src/embed/word-query.ts'
import { ana, type CollectionsWorldOptions, never, openCollections } from '../collections-world.ts'
import { createFakeVectorIndex } from '../fake-vector-index.ts'
import { onPostgres } from '../postgres/database-at.ts'

async function openWith(
  items: readonly { text: string; metadata?: Record<string, unknown> }[],
  options: CollectionsWorldOptions = {},
) {
  const world = await openCollections(options)
  const collection = await world.collections.open(ana, 'default')
  await world.passages.add(collection, items, never)
  const idsBy = async (filter: unknown) => {
    const found = await world.search.byVector(collection, { text: 'text', k: 100, filter: readFilter(filter) }, never)
    return found.map(({ text }) => text).sort()
  }
  return { ...world, collection, idsBy }
}

describe('filters', () => {
  const items = [
    { text: '1', metadata: { year: 2020, lang: 'es', draft: true, author: { name: 'Ana' } } },
    { text: 'b', metadata: { year: 2021, lang: 'en', draft: false, author: { name: 'Bea' } } },
    { text: 'c', metadata: { year: '2021', lang: null, 'author.name': 'Ana', one: 1 } },
    { text: 'd' },
  ]

  test.each([
    [{}, '1bcd'],
    [{ year: 2021 }, 'b'],
    [{ year: '2021' }, 'c'],
    [{ lang: ['es', 'en'] }, '1b'],
    [{ lang: [] }, ''],
    [{ lang: null }, 'cd'],
    [{ lang: ['es', null] }, '1cd'],
    [{ draft: true }, '1'],
    [{ draft: 1 }, ''],
    [{ one: true }, ''],
    [{ year: { gt: 2020 } }, 'b'],
    [{ year: { gte: 2020, lt: 2021 } }, '1'],
    [{ year: { gte: '2020' } }, 'c'],
    [{ lang: { ne: 'es' } }, 'bcd'],
    [{ lang: { ne: null } }, '1b'],
    [{ lang: { in: ['es'] } }, '1'],
    [{ 'author.name': 'Ana' }, '1c'],
    [{ 'author.name': { ne: 'Ana' } }, 'bd'],
    [{ author: 'Ana' }, ''],
    [{ year: 2020, lang: 'en' }, ''],
    [{ "x' or 1=1 --": 1 }, ''],
  ])('%j lets %j through', async (filter, expected) => {
    const { idsBy, search, collection } = await openWith(items)
    expect((await idsBy(filter)).join('')).toBe(expected)
    const byWords = await search.byWords(collection, { text: '1 b c d', k: 9, filter: readFilter(filter) })
    expect(
      byWords
        .map(({ text }) => text)
        .sort()
        .join(''),
    ).toBe(expected)
  })

  test.each([
    [{ year: { bigger: 1 } }, 'filter.year.bigger', 'eq, ne, in, gt, gte, lt, lte'],
    [{ year: { $gt: 1 } }, 'filter.year.$gt', 'gt'],
    [{ year: {} }, 'filter.year', 'an object with some of'],
    [{ year: { in: 3 } }, 'filter.year.in', 'a list'],
    [{ year: { gt: true } }, 'filter.year.gt', 'a number or a text'],
    [{ year: [[1]] }, 'filter.year.0', 'a text, number, truth value or null'],
    [[], 'filter', 'an object of fields'],
    ['year', 'filter', 'an object of fields'],
    [{ year: { __proto__: null, constructor: 1 } }, 'filter.year.constructor', 'gt'],
  ])('%j is refused with what was expected', (filter, field, expected) => {
    expect(() => readFilter(filter)).toThrow(
      expect.objectContaining({
        code: 'invalid',
        details: [expect.objectContaining({ field, expected: expect.stringContaining(expected) })],
      }),
    )
  })

  test('find any name of a field and any text, and no other', async () => {
    const { db } = await openCollections()
    const key = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.constantFrom('__proto__', '"', '\\"', "'", '$', '[0]', '#', '', 'a.b', '.'),
    )
    const matches = async (metadata: string, filter: unknown) => {
      const condition = toCondition(db, filter, metadataIn(db, sql`${metadata}`))
      const { rows } = await sql<{ found: number | boolean }>`select (${condition}) as found`.execute(db)
      return Boolean(rows[0]?.found)
    }
    await fc.assert(
      fc.asyncProperty(
        key,
        key,
        fc.oneof(fc.string({ unit: 'grapheme' }), fc.integer(), fc.boolean()),
        async (name, other, value) => {
          // SQLite ends the name of a field at a NUL.
          fc.pre(onPostgres || ![name, other].some((one) => one.includes('\0')))
          const metadata = JSON.stringify(Object.fromEntries([[name, value]]))
          const filter = Object.fromEntries([[name, value]])
          expect(await matches(metadata, filter)).toBe(true)
          if (other !== name) expect(await matches(metadata, Object.fromEntries([[other, value]]))).toBe(false)
        },
      ),
      { numRuns: 500 },
    )
  })

  test('what is in no collection of the searcher is not found', async () => {
    const { collections, passages, search, collection } = await openWith([{ text: 'mine' }])
    const other = await collections.open(ana, 'other')
    await passages.add(other, [{ text: 'mine too' }], never)
    expect(await search.byVector(collection, { text: 'mine', k: 5 }, never)).toHaveLength(1)
    expect(await search.byWords(collection, { text: 'mine', k: 5 })).toHaveLength(1)
  })
})

describe('by words', () => {
  test('finds any of the words, whatever their case and accents, the rarer first', async () => {
    const { search, collection } = await openWith([
      { text: 'La acción es rápida' },
      { text: 'La casa es grande' },
      { text: 'La casa es roja' },
      { text: '東京 タワー' },
    ])
    const find = async (text: string) => (await search.byWords(collection, { text, k: 9 })).map((one) => one.text)
    expect(await find('ACCION')).toEqual(['La acción es rápida'])
    expect((await find('casa grande')).slice(0, 1)).toEqual(['La casa es grande'])
    expect(await find('東京')).toEqual(['東京 タワー'])
    expect(await find('')).toEqual([])
    expect(await find('¿?! " - ( ) *')).toEqual([])
    const [best, next] = await search.byWords(collection, { text: 'casa grande', k: 2 })
    expect(best?.score).toBeGreaterThan(next?.score ?? Number.POSITIVE_INFINITY)
  })

  test('no text is taken for an operator', async () => {
    const { search, collection } = await openWith([{ text: 'one' }, { text: 'two' }])
    for (const text of [
      'one AND',
      'NOT one',
      'text:one',
      'one*',
      'NEAR(one two)',
      '"one',
      "one'; drop table passages; --",
      '^one',
    ])
      expect((await search.byWords(collection, { text, k: 5 })).map((found) => found.text)).toContain('one')
  })

  test('any text makes a query that the database understands, or none', async () => {
    const { search, collection } = await openWith([{ text: 'one' }])
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 60 }), async (text) => {
        await search.byWords(collection, { text, k: 1 })
        for (const word of toWordQuery(text)?.split(' OR ') ?? []) expect(word).toMatch(/^"[^"]+"\*?$/)
      }),
      { numRuns: 500 },
    )
  })
})

describe('by meaning', () => {
  test('what the index still knows and the rows do not is dropped, and the next best comes up', async () => {
    const { db, search, collection, vectorIndex, passages } = await openWith(
      Array.from({ length: 60 }, (_, index) => ({ text: index < 40 ? `apple number${index}` : `apple rest${index}` })),
      { createIndex: createFakeVectorIndex },
    )
    expect(await search.byVector(collection, { text: 'apple', k: 1 }, never)).toHaveLength(1)
    await db.deleteFrom('passages').where('text', 'like', '%number%').execute()
    expect([...vectorIndex.spaces.values()][0]?.size).toBe(60)
    const found = await search.byVector(collection, { text: 'apple', k: 15 }, never)
    expect(found).toHaveLength(15)
    for (const { text } of found) expect(text).toContain('rest')
    expect(await passages.count(collection)).toMatchObject({ passages: 20 })
  })

  test('vectors are given by passage, in the model of the collection', async () => {
    const { search, collection } = await openWith([{ text: 'one' }, { text: 'two' }])
    const found = await search.byVector(collection, { text: 'one', k: 2 }, never)
    const vectors = await search.vectorsOf(collection, [...found.map(({ id }) => id), 999])
    expect([...vectors.keys()].sort()).toEqual(found.map(({ id }) => id).sort())
    for (const vector of vectors.values()) expect(Math.hypot(...vector)).toBeCloseTo(1, 5)
  })

  test('who leaves is not searched for', async () => {
    const { search, collection } = await openWith([{ text: 'one' }])
    await expect(search.byVector(collection, { text: 'one', k: 1 }, AbortSignal.abort())).rejects.toThrow()
  })
})
