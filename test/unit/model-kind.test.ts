import { randomUUID } from 'node:crypto'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { readModelKind } from '../../src/models/model-kind.ts'
import { chatModel, ggufBytes, type TestFile, type TestValue, text, u32, u64 } from '../gguf-bytes.ts'

let folder: string

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simpleia-kind-'))
})
afterAll(() => rm(folder, { recursive: true }))

async function save(bytes: Buffer, name = `${randomUUID()}.gguf`): Promise<string> {
  await writeFile(join(folder, name), bytes)
  return join(folder, name)
}

const kindOf = async (file: TestFile) => readModelKind(await save(ggufBytes(file)))

async function refusal(bytes: Buffer): Promise<string> {
  const error = await readModelKind(await save(bytes)).catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(AppError)
  expect(error).toMatchObject({ code: 'invalid' })
  return error instanceof AppError ? error.message : ''
}

const tensor = { name: 'token_embd.weight', shape: [8, 2], bytes: 64 }
const model = (architecture: string, more: Readonly<Record<string, TestValue>> = {}): TestFile => ({
  metadata: { 'general.architecture': architecture, ...more },
  tensors: [tensor],
})

test('the header of a chat model tells its shape', async () => {
  expect(await kindOf(chatModel)).toEqual({
    kind: 'chat',
    architecture: 'llama',
    name: 'Tiny',
    parameters: 64 * 3 + 64 * 64,
    quantization: 'Q8_0',
    contextLength: 2048,
    layers: 2,
    embeddingLength: 64,
    feedForwardLength: 128,
    heads: 4,
    headsKv: 2,
    headsKvTotal: 4,
    outputType: 'F32',
    keyLength: 16,
    valueLength: 16,
    vocabularySize: 3,
    slidingWindow: 0,
    experts: 0,
    tensorBytes: 768 + 4352,
    fileBytes: ggufBytes(chatModel).length,
    files: 1,
    pooling: undefined,
    causal: true,
    hasChatTemplate: true,
    adapter: undefined,
    tensors: [
      { name: 'token_embd.weight', shape: [64, 3] },
      { name: 'blk.0.attn_q.weight', shape: [64, 64] },
    ],
  })
})

describe('the kind of a model is recognised', () => {
  const speaks = { 'tokenizer.ggml.model': 'gpt2' }
  const kinds: readonly (readonly [string, TestFile, string])[] = [
    ['a BERT', model('bert', { 'bert.pooling_type': 1, 'bert.attention.causal': false }), 'embedding'],
    ['a BERT that does not say how it pools', model('nomic-bert'), 'embedding'],
    ['a decoder that pools its last token', model('qwen3', { 'qwen3.pooling_type': 3, ...speaks }), 'embedding'],
    ['a BERT that ranks', model('bert', { 'bert.pooling_type': 4 }), 'reranker'],
    ['a decoder that ranks', model('qwen3', { 'qwen3.pooling_type': 4, ...speaks }), 'reranker'],
    ['a decoder that says that it pools nothing', model('llama', { 'llama.pooling_type': 0, ...speaks }), 'chat'],
    ['a base model without a template', model('gemma3', speaks), 'chat'],
    ['a projector of pictures', model('clip', { 'general.type': 'mmproj' }), 'projector'],
    ['an importance matrix', model('llama', { 'general.type': 'imatrix', ...speaks }), 'unknown'],
    ['a model of pictures', model('flux'), 'unknown'],
    ['a model that fills gaps in any order', model('dream', { 'dream.attention.causal': false, ...speaks }), 'unknown'],
    ['a vocabulary alone', { metadata: { 'general.architecture': 'llama', ...speaks } }, 'unknown'],
  ]
  test.each(kinds)('%s', async (_, file, kind) => {
    expect((await kindOf(file)).kind).toBe(kind)
  })

  test('an encoder with an output for classes is a reranker', async () => {
    const tensors = [tensor, { name: 'cls.output.weight', shape: [8, 1], bytes: 32 }]
    expect((await kindOf({ ...model('bert'), tensors })).kind).toBe('reranker')
  })

  test('an adapter, with the family of its base, its rank and alpha', async () => {
    const metadata = {
      'general.type': 'adapter',
      'general.architecture': 'gemma3',
      'adapter.type': 'lora',
      'adapter.lora.alpha': 32.5,
    }
    const pair = [
      { name: 'blk.0.attn_q.weight.lora_a', shape: [64, 16], bytes: 64 * 16 * 4 },
      { name: 'blk.0.attn_q.weight.lora_b', shape: [16, 64], bytes: 64 * 16 * 4 },
    ]
    const adapter = { type: 'lora', rank: 16, alpha: 32.5 }
    expect(await kindOf({ metadata, tensors: pair })).toMatchObject({ kind: 'adapter', architecture: 'gemma3', adapter })
  })
})

test('heads that differ from layer to layer are counted together', async () => {
  const shape = {
    'x.block_count': 3,
    'x.embedding_length': 64,
    'x.attention.head_count': 8,
    'x.attention.head_count_kv': [0, 4, 2],
  }
  expect(await kindOf(model('x', shape))).toMatchObject({ headsKv: 4, headsKvTotal: 6, keyLength: 8 })
})

test('a file that does not tell its quantization is named by what most of its bytes are', async () => {
  const big = { name: 'output.weight', shape: [256, 2], type: 12, bytes: 288 }
  expect((await kindOf({ ...model('llama'), tensors: [tensor, big] })).quantization).toBe('Q4_K')
})

describe('a model in several files', () => {
  const part = (count: number) => ggufBytes(model('llama', { 'split.count': count }))

  test('is counted whole', async () => {
    const first = await save(part(2), 'whole-00001-of-00002.gguf')
    await save(part(2), 'whole-00002-of-00002.gguf')
    expect(await readModelKind(first)).toMatchObject({ parameters: 32, tensorBytes: 128, files: 2 })
  })

  test('is refused when one is missing or cut off', async () => {
    const first = await save(part(3), 'holes-00001-of-00003.gguf')
    await save(part(3), 'holes-00002-of-00003.gguf')
    await expect(readModelKind(first)).rejects.toThrow('holes-00003-of-00003.gguf')
    await save(part(3).subarray(0, -40), 'holes-00003-of-00003.gguf')
    await expect(readModelKind(first)).rejects.toThrow('cut off')
  })

  test('is refused when its name does not tell the others', async () => {
    expect(await refusal(part(2))).toMatch(/in 2 files/)
  })
})

describe('what is no whole model is refused with the reason', () => {
  const whole = ggufBytes(chatModel)
  const head = (tensors: number | bigint, keys: number | bigint) =>
    Buffer.concat([Buffer.from('GGUF'), u32(3), u64(tensors), u64(keys)])
  const key = (name: string, ...value: readonly Buffer[]) => Buffer.concat([head(0, 1), text(name), ...value])
  const cases: readonly (readonly [string, Buffer, RegExp])[] = [
    ['0 bytes', Buffer.alloc(0), /empty/],
    ['two bytes', Buffer.from('GG'), /does not begin with "GGUF"/],
    ['the magic only', Buffer.from('GGUF'), /ends before/],
    ['the header only', whole.subarray(0, 24), /ends before/],
    ['a header that announces nothing', head(0, 0), /general\.architecture/],
    ['a key of zero length', key('', u32(4), u32(1)), /has no name/],
    ['2^60 tensors', ggufBytes({ ...chatModel, tensorCount: 2n ** 60n }), /more than \d+ tensors/],
    ['2^60 keys', ggufBytes({ ...chatModel, keyCount: 2n ** 60n }), /more than \d+ keys/],
    ['a key of 2^63 bytes', Buffer.concat([head(0, 1), u64(2n ** 63n)]), /ends before/],
    ['a text of 2^60 bytes', key('a', u32(8), u64(2n ** 60n)), /ends before/],
    ['a list of 2^60 texts', key('a', u32(9), u32(8), u64(2n ** 60n)), /ends before/],
    ['a list of 2^61 numbers', key('a', u32(9), u32(4), u64(2n ** 61n)), /ends before/],
    ['a list of lists', key('a', u32(9), u32(9), u64(1)), /unknown kind 9/],
    ['a value of an unknown kind', key('a', u32(99), u32(0)), /unknown kind 99/],
    ['the same key twice', Buffer.concat([head(0, 2), text('a'), u32(4), u32(1), text('a'), u32(4), u32(1)]), /twice/],
    ['an HTML page', Buffer.from('<!DOCTYPE html><html><title>Not found</title></html>'), /web page/],
    ['a JSON answer', Buffer.from('{"error":"Repository not found"}'), /web page or a text/],
    ['an old version', ggufBytes({ ...chatModel, version: 1 }), /version is 1/],
    ['the other byte order', ggufBytes({ ...chatModel, version: 0x03000000 }), /byte order/],
    ['a file cut at 50 %', whole.subarray(0, whole.length / 2), /cut off/],
    ['a file cut at 99 %', whole.subarray(0, Math.floor(whole.length * 0.99)), /cut off/],
    ['a tensor beyond the end', ggufBytes({ ...model('llama'), tensors: [{ ...tensor, offset: 2n ** 40n }] }), /cut off/],
    ['a tensor at an odd place', ggufBytes({ ...model('llama'), tensors: [{ ...tensor, offset: 8 }] }), /multiple of 32/],
    [
      'a tensor too large to count',
      ggufBytes({ ...model('llama'), tensors: [{ ...tensor, shape: [2 ** 50, 2 ** 50] }] }),
      /impossible/,
    ],
    ['a tensor of half a block', ggufBytes({ ...model('llama'), tensors: [{ ...tensor, shape: [16], type: 8 }] }), /impossible/],
    ['a tensor of unknown numbers', ggufBytes({ ...model('llama'), tensors: [{ ...tensor, type: 777 }] }), /kind 777/],
    [
      'a tensor of 9 dimensions',
      ggufBytes({ ...model('llama'), tensors: [{ ...tensor, shape: Array(9).fill(1) }] }),
      /9 dimensions/,
    ],
    ['the same tensor twice', ggufBytes({ ...model('llama'), tensors: [tensor, tensor] }), /twice/],
    ['an alignment of 3', ggufBytes(model('llama', { 'general.alignment': 3 })), /power of 2/],
  ]
  test.each(cases)('%s', async (_, bytes, reason) => {
    expect(await refusal(bytes)).toMatch(reason)
  })

  test('a file that is not there', async () => {
    await expect(readModelKind(join(folder, 'none.gguf'))).rejects.toMatchObject({ code: 'not_found' })
  })
})

test('a file cut anywhere is refused, and nothing but a refusal comes of damaged bytes', async () => {
  const whole = ggufBytes(chatModel)
  const damaged = fc.record({
    length: fc.integer({ min: 0, max: whole.length }),
    flips: fc.array(fc.record({ at: fc.nat(whole.length - 1), to: fc.nat(255) }), { maxLength: 4 }),
  })
  await fc.assert(
    fc.asyncProperty(damaged, async ({ length, flips }) => {
      const bytes = Buffer.from(whole)
      for (const { at, to } of flips) bytes[at] = to
      const error = await readModelKind(await save(bytes.subarray(0, length), 'damaged.gguf')).catch((thrown: unknown) => thrown)
      if (length < whole.length - 31 && flips.length === 0) expect(error).toBeInstanceOf(AppError)
      if (error instanceof Error) expect(error).toMatchObject({ name: 'AppError', code: 'invalid' })
    }),
    { numRuns: 300 },
  )
})

test('a vocabulary larger than the window, and long texts and lists, are read over', async () => {
  const tokens = Array.from({ length: 60_000 }, (_, index) => `token ${index}`)
  const scores = Array.from({ length: 60_000 }, (_, index) => index)
  const long = { 'a.text': 'x'.repeat(3 << 20), 'tokenizer.ggml.tokens': tokens, 'tokenizer.ggml.scores': scores }
  expect(await kindOf(model('llama', { ...long, 'llama.context_length': 77 }))).toMatchObject({
    vocabularySize: 60_000,
    contextLength: 77,
  })
})
