import { cp, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { spawnEmbedder } from '../../src/engine/local/embed-process.ts'
import { createEmbedders } from '../../src/engine/local/embedders.ts'
import { createCatalog } from '../../src/models/catalog.ts'
import { convertCheckpoint } from '../../src/models/convert/convert.ts'
import { createEmbedModels } from '../../src/models/embed-models.ts'
import { prefixesOf } from '../../src/models/embedding-families.ts'
import { readModelKind } from '../../src/models/model-kind.ts'
import { createModelRegistry } from '../../src/models/registry.ts'
import { removeModel } from '../../src/models/remove-model.ts'
import { cosine } from '../bert-reference.ts'

// Tiny models of each family, converted and served here, against what sentence-transformers says (tiny_embedders.py).

const fixtures = 'test/fixtures/convert'
const signal = new AbortController().signal
const Reference = Type.Object({
  query: Type.String(),
  texts: Type.Array(Type.String()),
  ids: Type.Optional(Type.Array(Type.Array(Type.Integer()))),
  query_vector: Type.Optional(Type.Array(Type.Number())),
  vectors: Type.Optional(Type.Array(Type.Array(Type.Number()))),
  scores: Type.Optional(Type.Array(Type.Number())),
})
const readReference = async (name: string) =>
  Value.Parse(Reference, JSON.parse(await readFile(`${fixtures}/${name}/reference.json`, 'utf8')))

let modelsDir: string
let world: ReturnType<typeof openWorld>

function openWorld() {
  const registry = createModelRegistry(modelsDir)
  const aliases = new Map([['text-embedding-3-small', 'tiny-xlmr']])
  const catalog = createCatalog({ registry, readFacts: readModelKind, aliases, estimateBytes: () => 0 })
  const models = createEmbedModels({ modelsDir, registry, catalog, aliases, threads: 1 })
  const parts = { usual: 'tiny-xlmr', spawn: () => spawnEmbedder(() => {}), maxWaiting: 10, keepAliveMs: 1e9, mostProcesses: 2 }
  return { registry, catalog, ...createEmbedders({ ...models, ...parts }) }
}

beforeAll(async () => {
  modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-families-'))
  for (const name of ['tiny-xlmr', 'tiny-xlmr-reranker', 'tiny-cross-encoder']) {
    const folder = join(modelsDir, '.checkpoints', 'acme', name)
    await cp(`${fixtures}/${name}`, folder, { recursive: true })
    await convertCheckpoint({ folder, onnxTarget: join(folder, 'model.onnx'), outputType: 'auto' }, () => {})
  }
  const qwen = `${fixtures}/tiny-qwen3-embedding`
  await convertCheckpoint({ folder: qwen, target: join(modelsDir, 'tiny-qwen3-embedding.gguf'), outputType: 'f32' }, () => {})
  world = openWorld()
})
afterAll(async () => {
  await world.embedders.close()
  await rm(modelsDir, { recursive: true })
})

test('each is listed with its kind, and answers no prompts', async () => {
  const listed = await world.catalog.list()
  expect(listed.map(({ name, kind, header }) => [name, kind, header?.architecture])).toEqual([
    ['tiny-cross-encoder', 'reranker', 'bert'],
    ['tiny-qwen3-embedding', 'embedding', 'qwen3'],
    ['tiny-xlmr', 'embedding', 'roberta'],
    ['tiny-xlmr-reranker', 'reranker', 'roberta'],
  ])
  expect(await world.embedders.list()).toEqual(['tiny-qwen3-embedding', 'tiny-xlmr'])
  expect(await world.rerankers.list()).toEqual(['tiny-cross-encoder', 'tiny-xlmr-reranker'])
  await expect(world.catalog.find('tiny-xlmr')).rejects.toMatchObject({ code: 'invalid' })
  await expect(world.catalog.find('acme/tiny-cross-encoder')).rejects.toMatchObject({ code: 'invalid' })
})

const embedding = [
  ['XLM-R with the prompts of its configuration', 'tiny-xlmr', 0.999999, true],
  ['Qwen3 in llama.cpp, which takes the last token', 'tiny-qwen3-embedding', 0.9999, false],
] as const

test.each(embedding)('%s gives the vectors of sentence-transformers', async (_, name, least, hasPrompts) => {
  const reference = await readReference(name)
  const embedder = await world.embedders.find(name)
  const document = hasPrompts ? ({ purpose: 'document' } as const) : {}
  const answer = await embedder?.encode({ texts: reference.texts, truncate: true, ...document }, signal)
  expect(answer?.vectors).toHaveLength(reference.texts.length)
  for (const [index, vector] of (answer?.vectors ?? []).entries())
    expect(cosine(vector, Float32Array.from(reference.vectors?.[index] ?? [])), reference.texts[index]).toBeGreaterThan(least)
  if (!hasPrompts) return
  const query = await embedder?.encode({ texts: [reference.query], truncate: true, purpose: 'query' }, signal)
  expect(cosine(query?.vectors[0] ?? new Float32Array(0), Float32Array.from(reference.query_vector ?? []))).toBeGreaterThan(least)
  expect(answer?.truncated.slice(3)).toEqual([true, false])
})

test.each(['tiny-cross-encoder', 'tiny-xlmr-reranker'])('%s scores pairs as sentence-transformers does', async (name) => {
  const { query, texts, scores = [] } = await readReference(name)
  const reranker = await world.rerankers.find(name)
  const answer = await reranker?.rerank({ query, texts }, signal)
  for (const [index, score] of scores.entries()) expect(answer?.scores[index], texts[index]).toBeCloseTo(score, 5)
})

test('a query that leaves no room for a text is refused with the numbers', async () => {
  const reranker = await world.rerankers.find('tiny-cross-encoder')
  const ranking = reranker?.rerank({ query: 'the '.repeat(70), texts: ['hello '.repeat(20)] }, signal)
  await expect(ranking).rejects.toMatchObject({
    code: 'context_length_exceeded',
    message: expect.stringMatching(/query has 72 tokens, and the model takes 80/),
  })
})

test('a model answers to its name, that of its repository, and an alias', async () => {
  for (const name of ['tiny-xlmr', 'acme/tiny-xlmr', 'text-embedding-3-small'])
    expect((await world.embedders.find(name))?.name).toBe('tiny-xlmr')
  for (const name of ['tiny-cross-encoder', 'other', '../../etc/passwd', ''])
    expect(await world.embedders.find(name)).toBeUndefined()
})

test('one that is removed takes its checkpoint with it', async () => {
  const remove = { modelsDir, describe: world.registry.describe, isInUse: () => false, now: Date.now, wait: async () => {} }
  expect(await removeModel(remove, 'tiny-xlmr-reranker')).toBe('tiny-xlmr-reranker')
  expect(await world.rerankers.list()).toEqual(['tiny-cross-encoder'])
  await expect(readFile(join(modelsDir, '.checkpoints/acme/tiny-xlmr-reranker/config.json'))).rejects.toThrow('ENOENT')
  expect(await world.embedders.list()).toContain('tiny-xlmr')
})

describe('what stands before a text', () => {
  test.each([
    ['intfloat/multilingual-e5-small', 'query: ', 'passage: '],
    ['intfloat/multilingual-e5-large-instruct', expect.stringMatching(/^Instruct: .*\nQuery: $/), ''],
    ['BAAI/bge-small-en-v1.5', expect.stringMatching(/^Represent this sentence/), ''],
    ['BAAI/bge-m3', '', ''],
    ['nomic-ai/nomic-embed-text-v1.5-GGUF nomic-embed-text-v1.5.Q8_0', 'search_query: ', 'search_document: '],
    ['Qwen/Qwen3-Embedding-0.6B-GGUF', expect.stringMatching(/^Instruct: .*\nQuery:$/), ''],
    ['sentence-transformers/all-MiniLM-L6-v2', '', ''],
    ['acme/made5-model', '', ''],
  ])('%s', (name, query, document) => {
    expect(prefixesOf(name)).toEqual({ query, document })
  })
})
