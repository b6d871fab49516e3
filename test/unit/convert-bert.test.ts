import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findLibrary, type Llama, openLibrary } from '../../src/engine/local/libllama.ts'
import { openLlamaEmbedder } from '../../src/engine/local/llama-embedder.ts'
import { openOnnxEmbedder } from '../../src/engine/local/onnx-embedder.ts'
import { createTextTokenizer } from '../../src/engine/local/text-tokenizer.ts'
import { type ConvertBertEvent, convertBert } from '../../src/models/convert/convert-bert.ts'
import { runConversion } from '../../src/models/convert/convert-process.ts'
import { readModelKind } from '../../src/models/model-kind.ts'
import { cosine, readTinyReference, tinyBert } from '../bert-reference.ts'

const reference = await readTinyReference()
const { texts, ids, length, width } = reference
let work: string
let llama: Llama

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'simpleia-bert-'))
  llama = openLibrary(findLibrary('cpu') ?? '', () => {})
})
afterAll(() => rm(work, { recursive: true }))

/** The fixture with files changed; a text of undefined removes one. */
async function changed(files: Readonly<Record<string, ((text: string) => string) | undefined>>): Promise<string> {
  const folder = await mkdtemp(join(work, 'checkpoint-'))
  await cp(tinyBert, folder, { recursive: true })
  for (const [name, change] of Object.entries(files)) {
    const path = join(folder, name)
    if (change === undefined) await rm(path)
    else await writeFile(path, change(await readFile(path, 'utf8').catch(() => '')))
  }
  return folder
}

const config = (values: object) => ({
  'config.json': (text: string) => JSON.stringify({ ...JSON.parse(text), ...values }),
})

async function convert(folder: string, outputType: 'F32' | 'F16' = 'F32') {
  const out = await mkdtemp(join(work, 'out-'))
  const [ggufTarget, onnxTarget] = [join(out, 'tiny.gguf'), join(out, 'onnx', 'model.onnx')]
  const events: ConvertBertEvent[] = []
  await convertBert({ folder, ggufTarget, onnxTarget, outputType, name: 'tiny', report: (event) => events.push(event) })
  return { ggufTarget, onnxTarget, events }
}

/** The states of the tokens of one text, without padding. */
function statesOf(key: string, row: number): Float32Array[] {
  const all = reference.states(key)
  const at = (token: number) => (row * length + token) * width
  return (ids[row] ?? []).map((_, token) => all.subarray(at(token), at(token) + width))
}

const pooled = {
  mean: (states: readonly Float32Array[]) =>
    Float32Array.from({ length: width }, (_, index) => states.reduce((sum, state) => sum + (state[index] ?? 0), 0)),
  cls: (states: readonly Float32Array[]) => states[0] ?? new Float32Array(width),
  last: (states: readonly Float32Array[]) => states.at(-1) ?? new Float32Array(width),
}

describe('the ONNX graph', () => {
  async function run(onnx: string, secondType: bigint) {
    const session = await InferenceSession.create(onnx)
    const integers = (value: (row: number, token: number) => number | bigint) => {
      const values = ids.flatMap((_, row) => Array.from({ length }, (_, token) => BigInt(value(row, token))))
      return new Tensor('int64', BigInt64Array.from(values), [ids.length, length])
    }
    const { last_hidden_state: output } = await session.run({
      input_ids: integers((row, token) => ids[row]?.[token] ?? 0),
      attention_mask: integers((row, token) => Number(token < (ids[row]?.length ?? 0))),
      token_type_ids: integers((row) => (row === 1 ? secondType : 0n)),
    })
    await session.release()
    expect(output?.dims).toEqual([ids.length, length, width])
    return Float32Array.from(output?.data ?? [], Number)
  }

  test.each(['gelu', 'gelu_new'])(
    'gives the hidden states of transformers for %s, padding and token types included',
    async (act) => {
      const { onnxTarget } = await convert(await changed(config({ hidden_act: act })))
      const [got, expected] = [await run(onnxTarget, 1n), reference.states(act)]
      const difference = Math.max(...got.map((value, index) => Math.abs(value - (expected[index] ?? Number.NaN))))
      expect(difference).toBeLessThan(1e-5)
      const plain = await run(onnxTarget, 0n)
      const other = reference.states(`${act}-type-0`)
      expect(Math.max(...plain.map((value, index) => Math.abs(value - (other[index] ?? Number.NaN))))).toBeLessThan(1e-5)
    },
  )

  test('gives the vectors of texts, whichever way they are pooled', async () => {
    const { onnxTarget } = await convert(tinyBert)
    const json = JSON.parse(await readFile(`${tinyBert}/tokenizer.json`, 'utf8'))
    const tokenizer = createTextTokenizer(json, {}, 40)
    expect(texts.map((text) => [...tokenizer.encode(text)])).toEqual(ids)
    for (const pooling of ['mean', 'cls', 'last'] as const) {
      const embedder = await openOnnxEmbedder({ path: onnxTarget, tokenizer, pooling, threads: 1 })
      for (const [row, vector] of (await embedder.embed(texts)).entries())
        expect(cosine(vector, pooled[pooling](statesOf('gelu-type-0', row)))).toBeGreaterThan(0.999999)
      await embedder.close()
    }
  })
})

describe('the GGUF file', () => {
  const poolings = [
    ['mean', { pooling_mode_mean_tokens: true }],
    ['cls', { pooling_mode_cls_token: true }],
    ['last', { pooling_mode_lasttoken: true }],
    ['cls', { pooling_mode: 'cls' }],
  ] as const

  test.each(poolings)('gives llama.cpp the vectors of transformers, pooled by %s (%o)', async (pooling, written) => {
    const folder = await changed({
      '1_Pooling/config.json': () => JSON.stringify(written),
      ...config({ hidden_act: 'gelu_new' }),
    })
    const { ggufTarget } = await convert(folder)
    const embedder = openLlamaEmbedder(llama, { path: ggufTarget, threads: 1 })
    expect(texts.map((text) => [...embedder.tokenize(text)])).toEqual(ids)
    for (const [row, vector] of embedder.embed(texts).entries()) {
      expect(Math.hypot(...vector)).toBeCloseTo(1, 5)
      expect(cosine(vector, pooled[pooling](statesOf('gelu_new-type-0', row)))).toBeGreaterThan(0.99999)
    }
    embedder.close()
  })

  test('in half precision is smaller and gives nearly the same', async () => {
    const [whole, half] = [await convert(tinyBert), await convert(tinyBert, 'F16')]
    const [one, other] = [await readModelKind(whole.ggufTarget), await readModelKind(half.ggufTarget)]
    expect(other.tensorBytes).toBeLessThan(one.tensorBytes * 0.7)
    const embedder = openLlamaEmbedder(llama, { path: half.ggufTarget, threads: 1 })
    for (const [row, vector] of embedder.embed(texts).entries())
      expect(cosine(vector, pooled.mean(statesOf('gelu-type-0', row)))).toBeGreaterThan(0.9999)
    embedder.close()
  })

  test('says what it is', async () => {
    const { ggufTarget } = await convert(tinyBert, 'F16')
    expect(await readModelKind(ggufTarget)).toMatchObject({
      kind: 'embedding',
      architecture: 'bert',
      name: 'tiny',
      pooling: 'mean',
      quantization: 'F16',
      contextLength: 48,
      layers: 2,
      embeddingLength: 32,
      vocabularySize: 70,
    })
  })

  test('carries the longest text that sentence-transformers gives the model', async () => {
    const { ggufTarget } = await convert(tinyBert)
    const embedder = openLlamaEmbedder(llama, { path: ggufTarget, threads: 1 })
    const tokens = embedder.tokenize('a '.repeat(100))
    expect([embedder.maxTokens, tokens.length, tokens.at(-1)]).toEqual([40, 40, 5])
    embedder.close()
  })

  test('is the same from an old vocab.txt as from tokenizer.json', async () => {
    const [now, before] = [await convert(tinyBert), await convert(await changed({ 'tokenizer.json': undefined }))]
    expect(await readFile(before.ggufTarget)).toEqual(await readFile(now.ggufTarget))
  })

  test('has no token twice, which would end the process of llama.cpp', async () => {
    const twice = (text: string) => text.replace('\nb\n', '\na\n').replace('\nc\n', '\n##\u2581d\n')
    const { ggufTarget } = await convert(await changed({ 'tokenizer.json': undefined, 'vocab.txt': twice }))
    const embedder = openLlamaEmbedder(llama, { path: ggufTarget, threads: 1 })
    expect(embedder.tokenize('a d b')).toEqual([4, 14, 16, 2, 5])
    embedder.close()
  })

  test('is the same for a checkpoint whose encoder is part of a larger model', async () => {
    const [encoder, larger] = [await convert(tinyBert), await convert(await withRenamed((name) => `bert.${name}`))]
    expect(await readFile(larger.ggufTarget)).toEqual(await readFile(encoder.ggufTarget))
  })
})

async function withRenamed(rename: (name: string) => string): Promise<string> {
  const folder = await changed(config({ architectures: ['BertForMaskedLM'] }))
  const bytes = await readFile(join(folder, 'model.safetensors'))
  const end = 8 + Number(bytes.readBigUInt64LE())
  const header: Record<string, unknown> = JSON.parse(bytes.subarray(8, end).toString('utf8'))
  const renamed = Object.entries(header).map(([name, value]) => [name === '__metadata__' ? name : rename(name), value])
  const json = Buffer.from(JSON.stringify(Object.fromEntries(renamed)))
  const size = Buffer.alloc(8)
  size.writeBigUInt64LE(BigInt(json.length))
  await writeFile(join(folder, 'model.safetensors'), Buffer.concat([size, json, bytes.subarray(end)]))
  return folder
}

test('progress is told for each tensor of both files', async () => {
  const { events, ggufTarget, onnxTarget } = await convert(tinyBert)
  for (const file of [ggufTarget, onnxTarget]) {
    const told = events.filter((event) => event.file === file)
    expect(told.map(({ done }) => done)).toEqual(told.map((_, index) => index + 1))
    expect(told.at(-1)?.done).toBe(told.at(-1)?.total)
  }
})

describe('what is no BERT that can be converted is refused, and leaves nothing behind', () => {
  const cases: readonly (readonly [string, Parameters<typeof changed>[0], RegExp])[] = [
    ['a RoBERTa', config({ model_type: 'roberta' }), /ONNX only/],
    ['a DistilBERT', config({ model_type: 'distilbert', architectures: ['DistilBertModel'] }), /"distilbert"/],
    ['a classifier', config({ architectures: ['BertForSequenceClassification'] }), /ONNX only/],
    ['another activation', config({ hidden_act: 'relu' }), /relu/],
    ['relative positions', config({ position_embedding_type: 'relative_key' }), /absolute positions/],
    ['a size that is no number', config({ hidden_size: '32' }), /hidden_size/],
    ['a size that does not fit the tensors', config({ hidden_size: 64 }), /should have the shape/],
    ['more layers than tensors', config({ num_hidden_layers: 3 }), /no tensor "encoder.layer.2/],
    ['heads that do not divide', config({ num_attention_heads: 5 }), /no multiple of 5/],
    ['fewer rows than tokens', config({ vocab_size: 60 }), /shape|token 66/],
    ['a configuration that is not JSON', { 'config.json': () => '{' }, /not JSON/],
    ['pooling by the largest', { '1_Pooling/config.json': () => '{"pooling_mode_max_tokens":true}' }, /none of mean/],
    ['a module that leads out', { 'modules.json': (text) => text.replace('1_Pooling', '../1_Pooling') }, /inside the checkpoint/],
    ['a BPE tokenizer', { 'tokenizer.json': (text) => text.replaceAll('"WordPiece"', '"BPE"') }, /WordPiece/],
    ['a tokenizer without [CLS]', { 'tokenizer.json': (text) => text.replaceAll('[CLS]', '<s>') }, /\[CLS\]/],
  ]
  test.each(cases)('%s', async (_, files, reason) => {
    const out = await mkdtemp(join(work, 'out-'))
    const folder = await changed(files)
    const targets = { ggufTarget: join(out, 'a.gguf'), onnxTarget: join(out, 'a.onnx') }
    const failed = convertBert({ folder, ...targets, outputType: 'F32', report: () => {} })
    await expect(failed).rejects.toMatchObject({ code: 'invalid', message: expect.stringMatching(reason) })
    expect(await readdir(out)).toEqual([])
  })

  test('a folder without a tokenizer, or without anything', async () => {
    const folder = await changed({ 'tokenizer.json': undefined, 'vocab.txt': undefined })
    const convertTo = (from: string) =>
      convertBert({ folder: from, ggufTarget: join(work, 'x.gguf'), outputType: 'F32', report: () => {} })
    await expect(convertTo(folder)).rejects.toMatchObject({ code: 'not_found' })
    await expect(convertTo(join(work, 'nowhere'))).rejects.toMatchObject({ code: 'not_found' })
  })
})

test('a conversion that is stopped leaves nothing behind', async () => {
  const out = await mkdtemp(join(work, 'out-'))
  const stop = new AbortController()
  const targets = { ggufTarget: join(out, 'a.gguf'), onnxTarget: join(out, 'a.onnx') }
  const report = ({ file }: ConvertBertEvent) => file.endsWith('.onnx') && stop.abort()
  const stopped = convertBert({ folder: tinyBert, ...targets, outputType: 'F32', report, signal: stop.signal })
  await expect(stopped).rejects.toMatchObject({ code: 'aborted' })
  expect(await readdir(out)).toEqual(['a.gguf'])
})

test('the process that converts any checkpoint makes both files of a BERT', async () => {
  const out = await mkdtemp(join(work, 'out-'))
  const [target, onnxTarget] = [join(out, 'a.gguf'), join(out, 'a.onnx')]
  await runConversion({ folder: tinyBert, target, onnxTarget, outputType: 'auto' }, () => {})
  expect((await readdir(out)).sort()).toEqual(['a.gguf', 'a.onnx'])
  expect(await readModelKind(target)).toMatchObject({ kind: 'embedding', quantization: 'F16' })
})

test('a model that answers prompts is not taken for one that makes vectors', async () => {
  const folder = await changed({ 'sentence_bert_config.json': undefined })
  const { ggufTarget } = await convert(folder)
  const bytes = await readFile(ggufTarget)
  const key = bytes.indexOf('bert.pooling_type')
  bytes.writeUInt32LE(0, key + 'bert.pooling_type'.length + 4)
  await writeFile(ggufTarget, bytes)
  expect(() => openLlamaEmbedder(llama, { path: ggufTarget, threads: 1 })).toThrow('makes no vectors')
  expect(() => openLlamaEmbedder(llama, { path: `${tinyBert}/config.json`, threads: 1 })).toThrow('not a whole model')
})
