import { cp, link, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { spawnEmbedder } from '../../src/engine/local/embed-process.ts'
import { findLibrary, openLibrary } from '../../src/engine/local/libllama.ts'
import { openLlamaEmbedder } from '../../src/engine/local/llama-embedder.ts'
import { openOnnxEmbedder } from '../../src/engine/local/onnx-embedder.ts'
import { createServedEmbedModel, toEmbedder } from '../../src/engine/local/served-embed-model.ts'
import { createTextTokenizer } from '../../src/engine/local/text-tokenizer.ts'
import { createCatalog } from '../../src/models/catalog.ts'
import { readBertShape } from '../../src/models/convert/bert-checkpoint.ts'
import { convertBert } from '../../src/models/convert/convert-bert.ts'
import { createEmbedModels } from '../../src/models/embed-models.ts'
import { embeddingModel } from '../../src/models/embedding-model.ts'
import { readModelKind } from '../../src/models/model-kind.ts'
import { createModelRegistry } from '../../src/models/registry.ts'
import { cosine, readMiniLmReference } from '../bert-reference.ts'

// all-MiniLM-L6-v2 as `run_llm.sh test` fetches it, converted here, against transformers on a hundred sentences in five scripts.

const checkpoint = 'model_llm/.checkpoints/sentence-transformers/all-MiniLM-L6-v2'
const { sentences, ids, vectors } = await readMiniLmReference()
let work: string
let gguf: string
let onnx: string

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'simpleia-embedding-'))
  gguf = join(work, 'all-MiniLM-L6-v2.gguf')
  onnx = join(work, 'model.onnx')
  await convertBert({ folder: checkpoint, ggufTarget: gguf, onnxTarget: onnx, outputType: 'F16', report: () => {} })
})
afterAll(() => rm(work, { recursive: true }))

function expectReference(tokens: readonly (readonly number[])[], found: readonly Float32Array[], least: number) {
  expect(found).toHaveLength(100)
  for (const [index, sentence] of sentences.entries()) {
    expect([...(tokens[index] ?? [])], sentence).toEqual(ids[index])
    const vector = found[index] ?? new Float32Array(384)
    expect(Math.hypot(...vector), sentence).toBeCloseTo(1, 5)
    expect(cosine(vector, vectors[index] ?? new Float32Array(384)), sentence).toBeGreaterThan(least)
  }
}

test('as GGUF in llama.cpp it gives the tokens and vectors of transformers', () => {
  const llama = openLibrary(findLibrary('cpu') ?? '', () => {})
  const embedder = openLlamaEmbedder(llama, { path: gguf, threads: 2 })
  expect([embedder.dimensions, embedder.maxTokens]).toEqual([384, 256])
  expectReference(sentences.map(embedder.tokenize), embedder.embed(sentences), 0.99999)
  embedder.close()
})

test('as ONNX in ONNX Runtime it gives the tokens and vectors of transformers', async () => {
  const { pooling, maxTokens } = await readBertShape(checkpoint)
  const read = async (name: string) => JSON.parse(await readFile(join(checkpoint, name), 'utf8'))
  const tokenizer = createTextTokenizer(await read('tokenizer.json'), await read('tokenizer_config.json'), maxTokens)
  const embedder = await openOnnxEmbedder({ path: onnx, tokenizer, pooling, threads: 2 })
  expectReference(sentences.map(tokenizer.encode), await embedder.embed(sentences), 0.999999)
  await embedder.close()
})

test('its file says that it is an embedding model', async () => {
  expect(await readModelKind(gguf)).toMatchObject({
    kind: 'embedding',
    architecture: 'bert',
    pooling: 'mean',
    quantization: 'F16',
    contextLength: 512,
    embeddingLength: 384,
    vocabularySize: 30522,
  })
})

test('its own process gives the same vectors to many at once, whatever a request holds, and refuses what is too long', async () => {
  const folder = join(work, '.checkpoints', 'sentence-transformers', 'all-MiniLM-L6-v2')
  await cp(checkpoint, folder, { recursive: true })
  await rm(join(folder, 'model.onnx'), { force: true })
  const registry = createModelRegistry(work)
  const aliases = new Map()
  const catalog = createCatalog({ registry, readFacts: readModelKind, aliases, estimateBytes: () => 0 })
  await rm(gguf)
  const { describe } = createEmbedModels({ modelsDir: work, registry, catalog, aliases, threads: 2 })
  await expect(describe(embeddingModel)).rejects.toMatchObject({
    code: 'unavailable',
    message: expect.stringContaining('models pull'),
  })
  await link(onnx, join(folder, 'model.onnx'))
  const served = createServedEmbedModel({
    spawn: () => spawnEmbedder(() => {}),
    findModel: () => describe(embeddingModel),
    maxWaiting: 200,
  })
  const embedder = toEmbedder(embeddingModel, served)
  const signal = new AbortController().signal
  const sizes = [1, 8, 64, 100]
  const requests = sizes.flatMap((size) =>
    Array.from({ length: Math.ceil(100 / size) }, (_, index) => [index * size, (index + 1) * size] as const),
  )
  const answers = await Promise.all(
    requests.map(([from, to]) => embedder.encode({ texts: sentences.slice(from, to), truncate: true }, signal)),
  )
  for (const [request, { vectors: found, tokens }] of answers.entries()) {
    const [from = 0] = requests[request] ?? []
    for (const [index, vector] of found.entries()) {
      expect(cosine(vector, vectors[from + index] ?? new Float32Array(384))).toBeGreaterThan(0.99999)
      expect(tokens[index]).toBe(ids[from + index]?.length)
    }
  }
  // 257 texts in another order, one of them twice: each belongs to its text, and is what it is alone.
  const shuffled = Array.from({ length: 256 }, (_, index) => (index * 37) % 100).concat(5)
  const all = await embedder.encode({ texts: shuffled.map((index) => sentences[index] ?? ''), truncate: true }, signal)
  for (const [place, index] of shuffled.entries())
    expect(cosine(all.vectors[place] ?? new Float32Array(384), vectors[index] ?? new Float32Array(384))).toBeGreaterThan(0.99999)
  const [first, second] = [shuffled.indexOf(5), 256].map((place) => all.vectors[place] ?? new Float32Array(0))
  for (const [at, value] of first?.entries() ?? []) expect(second?.[at]).toBeCloseTo(value, 5)
  const long = 'word '.repeat(300)
  await expect(embedder.encode({ texts: ['short', long], truncate: false }, signal)).rejects.toMatchObject({
    code: 'context_length_exceeded',
    message: expect.stringMatching(/Text 2 has 302 tokens, and the model takes 256/),
  })
  await expect(embedder.encode({ texts: ['word '.repeat(10_000)], truncate: false }, signal)).rejects.toMatchObject({
    code: 'context_length_exceeded',
    message: expect.stringMatching(/10002 tokens/),
  })
  const cut = await embedder.encode({ texts: [`${long} one end`, `${long} another`], truncate: true }, signal)
  expect(cut).toMatchObject({ truncated: [true, true], tokens: [256, 256] })
  expect(cosine(cut.vectors[0] ?? new Float32Array(0), cut.vectors[1] ?? new Float32Array(0))).toBeGreaterThan(0.99999)
  await embedder.close()
})
