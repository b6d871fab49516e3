import { expect, test } from 'vitest'
import type { Collection, Document, FoundPassage, Passage } from '../../src/embed/collection.ts'
import type { Reranker } from '../../src/engine/embedder.ts'
import { createRetrieve, type RetrieveRequest } from '../../src/rag/retrieve.ts'

const collection: Collection = {
  id: 'c',
  ownerId: null,
  name: 'default',
  isShared: false,
  model: 'fake',
  dimensions: 2,
  nextModel: undefined,
}

type Row = Readonly<{ text: string; document?: string; position?: number; vector?: readonly [number, number] }>

/** A collection of rows; each search finds the ids that it is told, in that order. */
function createWorld(
  rows: readonly Row[],
  found: Readonly<{ vector?: readonly number[]; words?: readonly number[] }>,
  /** What the vector searches find, one after the other, where they differ. */
  inTurn: readonly (readonly number[])[] = [],
) {
  const passageOf = (id: number): Passage => {
    const { text = '', document, position = id } = rows[id] ?? { text: '' }
    return { id, itemId: `item-${id}`, documentId: document, position, text, metadata: {} }
  }
  const toFound = (ids: readonly number[] = []): FoundPassage[] =>
    ids.map((id, rank) => ({ ...passageOf(id), score: 0.9 - rank / 10 }))
  const asked: string[] = []
  const retrieve = createRetrieve({
    search: {
      byVector: async (_collection, { text }) => {
        asked.push(`vector:${text}`)
        return toFound(inTurn[asked.length - 1] ?? found.vector)
      },
      byWords: async (_collection, { text }) => {
        asked.push(`words:${text}`)
        return toFound(found.words)
      },
      vectorsOf: async (_collection, ids) =>
        new Map(ids.flatMap((id) => (rows[id]?.vector === undefined ? [] : [[id, Float32Array.from(rows[id].vector)] as const]))),
    },
    passages: {
      findDocument: async (_collection, which) => ('id' in which ? documentOf(which.id) : undefined),
      listChunks: async (document, { from, to }) =>
        rows.flatMap((row, id) => {
          const { position } = passageOf(id)
          return row.document === document && position >= from && position <= to ? [passageOf(id)] : []
        }),
    },
  })
  return { retrieve, asked }
}

const documentOf = (id: string): Document => ({
  id,
  collectionId: 'c',
  name: `Title of ${id}`,
  source: `${id}.txt`,
  mediaType: 'text/plain',
  sha256: '',
  sizeBytes: 1,
  passages: 1,
  createdAt: '',
  updatedAt: '',
})

const request = (changes: Partial<RetrieveRequest> = {}): RetrieveRequest => ({
  collection,
  queries: ['question'],
  mode: 'hybrid',
  k: 5,
  filter: undefined,
  reranker: undefined,
  mostCharacters: 10_000,
  ...changes,
})

const idle = new AbortController().signal
const rows = ['zero', 'one', 'two', 'three', 'four'].map((text): Row => ({ text }))

test('a hybrid search asks both ways, and what both find comes first', async () => {
  const { retrieve, asked } = createWorld(rows, { vector: [0, 1], words: [2, 1] })
  const { sources, bestCosine } = await retrieve(request(), idle)
  expect(asked).toEqual(['vector:question', 'words:question'])
  expect(sources.map(({ number, text }) => [number, text])).toEqual([
    [1, 'one'],
    [2, 'zero'],
    [3, 'two'],
  ])
  expect(bestCosine).toBe(0.9)
  expect(sources.map(({ cosine }) => cosine)).toEqual([0.8, 0.9, undefined])
})

test.each([
  ['vector', ['vector:question']],
  ['words', ['words:question']],
] as const)('mode %s asks one way only', async (mode, expected) => {
  const { retrieve, asked } = createWorld(rows, { vector: [0], words: [1] })
  await retrieve(request({ mode }), idle)
  expect(asked).toEqual(expected)
})

test('a passage is as near as to the wording that it is nearest to', async () => {
  const { retrieve } = createWorld(rows, { vector: [0, 1] }, [
    [0, 1],
    [1, 0],
  ])
  const { sources, bestCosine } = await retrieve(request({ queries: ['a', 'b'], mode: 'vector' }), idle)
  expect(bestCosine).toBe(0.9)
  expect(sources.map(({ cosine }) => cosine)).toEqual([0.9, 0.9])
})

test('each wording of the question is looked for', async () => {
  const { retrieve, asked } = createWorld(rows, { vector: [0] })
  await retrieve(request({ queries: ['a', 'b'], mode: 'vector' }), idle)
  expect(asked).toEqual(['vector:a', 'vector:b'])
})

test('chunks that follow each other in a document become one source with their document named', async () => {
  const chunks = [0, 1, 2, 3].map((position): Row => ({ text: `chunk ${position}`, document: 'd', position }))
  const { retrieve } = createWorld(chunks, { vector: [2, 1], words: [] })
  const { sources } = await retrieve(request(), idle)
  expect(sources).toMatchObject([
    { text: 'chunk 1\nchunk 2', name: 'Title of d', origin: 'd.txt', documentId: 'd', itemId: 'item-2' },
  ])
})

test('chunks of different documents are never joined', async () => {
  const { retrieve } = createWorld(
    [
      { text: 'a0', document: 'a', position: 0 },
      { text: 'b1', document: 'b', position: 1 },
    ],
    { vector: [0, 1] },
  )
  expect((await retrieve(request(), idle)).sources.map(({ text }) => text)).toEqual(['a0', 'b1'])
})

test('what is left out is named with the reason', async () => {
  const { retrieve } = createWorld(
    [
      { text: 'first', vector: [1, 0] },
      { text: 'copy', vector: [1, 0] },
      { text: 'x'.repeat(500), vector: [0, 1] },
      { text: 'beyond', vector: [-1, 0] },
    ],
    { vector: [0, 1, 2, 3] },
  )
  const { sources, dropped } = await retrieve(request({ k: 2, mostCharacters: 100 }), idle)
  expect(sources.map(({ text }) => text)).toEqual(['first'])
  expect(dropped).toEqual(
    expect.arrayContaining([
      { itemId: 'item-1', reason: 'duplicate' },
      { itemId: 'item-2', reason: 'no_room' },
      { itemId: 'item-3', reason: 'beyond_k' },
    ]),
  )
})

test('as many sources come as are asked for, where there are so many', async () => {
  const many = Array.from({ length: 50 }, (_, id): Row => ({ text: `text ${id}` }))
  const { retrieve } = createWorld(many, { vector: many.map((_, id) => id) })
  expect((await retrieve(request({ k: 50 }), idle)).sources).toHaveLength(50)
})

test('a reranker has the last word on the order', async () => {
  const reranker: Reranker = {
    name: 'by-length',
    rerank: async ({ texts }) => ({ scores: texts.map(({ length }) => length), tokens: [] }),
    close: async () => {},
  }
  const { retrieve } = createWorld(rows, { vector: [0, 1, 3] })
  const { sources } = await retrieve(request({ reranker, k: 1 }), idle)
  expect(sources.map(({ text, score }) => [text, score])).toEqual([['three', 5]])
})
