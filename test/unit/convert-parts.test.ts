import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { listPackedWeights } from '../../src/models/convert/packed-weights.ts'
import { recognizePreTokenizer } from '../../src/models/convert/pre-tokenizer.ts'
import type { Checkpoint, TensorInfo } from '../../src/models/convert/safetensors.ts'
import { parseSentencePiece } from '../../src/models/convert/sentencepiece.ts'
import type { TokenizerJson } from '../../src/models/convert/tokenizer-json.ts'

function varint(value: number): Buffer {
  const bytes: number[] = []
  let rest = value
  while (rest > 127) {
    bytes.push((rest & 127) | 128)
    rest = Math.floor(rest / 128)
  }
  return Buffer.from([...bytes, rest])
}

const message = (field: number, bytes: Uint8Array) => Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes])
const number = (field: number, value: number) => Buffer.concat([varint(field * 8), varint(value)])

function encodePiece({ text, score, type }: { text: string; score: number; type: number }): Buffer {
  const float = Buffer.alloc(4)
  float.writeFloatLE(score)
  return message(1, Buffer.concat([message(1, Buffer.from(text)), Buffer.from([21]), float, number(3, type)]))
}

const bpe = message(2, number(3, 2))

describe('a SentencePiece file', () => {
  const piece = fc.record({
    text: fc.string({ unit: 'grapheme', maxLength: 200 }),
    score: fc.float({ noNaN: true }),
    type: fc.integer({ min: 1, max: 6 }),
  })

  test('gives the pieces that were put into it, whatever else it holds', () => {
    fc.assert(
      fc.property(fc.array(piece, { minLength: 1, maxLength: 20 }), fc.boolean(), (pieces, addsSpace) => {
        const others = Buffer.concat([
          message(9, Buffer.from('later')),
          number(10, 300),
          bpe,
          message(3, number(3, Number(addsSpace))),
        ])
        const bytes = Buffer.concat([others, ...pieces.map(encodePiece)])
        expect(parseSentencePiece(bytes)).toEqual({ pieces, addsSpace })
      }),
    )
  })

  test('of any bytes, or cut anywhere, is read or refused', () => {
    const whole = Buffer.concat([bpe, encodePiece({ text: 'abc', score: -1, type: 1 })])
    const cut = fc.nat(whole.length).map((length) => whole.subarray(0, length))
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array({ maxLength: 60 }), cut), (bytes) => {
        try {
          expect(parseSentencePiece(bytes).pieces.length).toBeGreaterThan(0)
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid', message: expect.stringContaining('tokenizer.model') })
        }
      }),
      { numRuns: 500 },
    )
  })

  test('of another kind than BPE is refused', () => {
    const pieces = encodePiece({ text: 'a', score: 0, type: 1 })
    for (const trainer of [message(2, number(3, 1)), Buffer.alloc(0)]) {
      expect(() => parseSentencePiece(Buffer.concat([trainer, pieces]))).toThrow(/BPE/)
    }
  })
})

describe('the way in which a tokenizer splits texts', () => {
  const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
  const ending = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'
  const split = (Regex: string) => ({ type: 'Split', pattern: { Regex }, behavior: 'Isolated', invert: false })
  const bytes = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: false, use_regex: false }
  const sequence = (...pretokenizers: readonly unknown[]) => ({ type: 'Sequence', pretokenizers })
  const tokenizer = (preTokenizer: unknown, ignoresMerges = false): TokenizerJson => ({
    vocabulary: new Map(),
    merges: [],
    ignoresMerges,
    hasByteFallback: false,
    unknownToken: undefined,
    added: [],
    normalizer: null,
    preTokenizer,
    postProcessor: null,
  })
  // As they stand in the files of the models.
  const llama3 = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${ending}`
  const qwen2 = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${ending}`
  const nemo =
    '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'

  test.each([
    ['GPT-2', tokenizer({ type: 'ByteLevel', add_prefix_space: false, trim_offsets: true }), 'gpt-2'],
    ['Llama 3', tokenizer(sequence(split(llama3), bytes), true), 'llama-bpe'],
    ['Llama 3 without whole words', tokenizer(sequence(split(llama3), bytes)), 'smaug-bpe'],
    ['Qwen 2', tokenizer(sequence(split(qwen2), bytes)), 'qwen2'],
    ['Mistral Nemo', tokenizer(sequence(split(nemo), bytes), true), 'tekken'],
    ['SmolLM', tokenizer(sequence({ type: 'Digits', individual_digits: true }, { ...bytes, use_regex: true })), 'smollm'],
  ])('is that of %s', (_model, given, name) => {
    expect(recognizePreTokenizer(given)).toBe(name)
  })

  test.each([
    ['another pattern', tokenizer(sequence(split(`${qwen2}|x`), bytes))],
    ['a pattern that is dropped', tokenizer(sequence({ ...split(qwen2), behavior: 'Removed' }, bytes))],
    ['a space in front', tokenizer({ type: 'ByteLevel', add_prefix_space: true })],
    ['words only', tokenizer({ type: 'Whitespace' })],
    ['nothing', tokenizer(null)],
  ])('is refused for %s', (_what, given) => {
    expect(() => recognizePreTokenizer(given)).toThrow(AppError)
  })
})

describe('a packed matrix', () => {
  /** A checkpoint of 32-bit words, in memory. */
  function checkpointOf(tensors: Readonly<Record<string, readonly [readonly number[], Uint32Array | Float32Array]>>): Checkpoint {
    const infos = Object.entries(tensors).map(([name, [shape, words]]): TensorInfo => {
      return { name, shape, type: words instanceof Float32Array ? 'F32' : 'I32', file: 'x', start: 0, end: words.byteLength }
    })
    const byName = new Map(infos.map((info) => [info.name, info]))
    return {
      tensors: byName,
      get(name) {
        const info = byName.get(name)
        if (info === undefined) throw new AppError('invalid', `no ${name}`)
        return info
      },
      readBytes: async ({ name }) => new Uint8Array(tensors[name]?.[1].slice().buffer as ArrayBuffer), // what slice() makes
      readFloats: async () => new Float32Array(),
      close: async () => {},
    }
  }

  async function unpack(checkpoint: Checkpoint, format: Parameters<typeof listPackedWeights>[1], rowMultiple = 1) {
    const source = listPackedWeights(checkpoint, format).get('w.weight')
    const values: number[] = []
    for await (const piece of source?.read(rowMultiple) ?? []) values.push(...piece)
    return { shape: source?.shape, values }
  }

  const nibbles = (values: readonly number[]) => values.reduce((word, value, index) => (word | (value << (4 * index))) >>> 0, 0)

  test('of GPTQ holds inputs in order, and zero points less one', async () => {
    const checkpoint = checkpointOf({
      'w.qweight': [[1, 8], Uint32Array.from({ length: 8 }, () => nibbles([0, 1, 2, 3, 4, 5, 6, 15]))],
      'w.qzeros': [[1, 1], Uint32Array.of(nibbles([0, 1, 2, 3, 4, 5, 6, 15]))],
      'w.scales': [[1, 8], Float32Array.from([1, 1, 1, 1, 1, 1, 1, 2])],
    })
    const first = await unpack(checkpoint, { method: 'gptq', groupSize: 8, zeroOffset: 1 })
    expect(first.shape).toEqual([8, 8])
    expect(first.values.slice(0, 8)).toEqual([-1, 0, 1, 2, 3, 4, 5, 14])
    // 15 was written for a zero point of 0.
    expect(first.values.slice(56)).toEqual([0, 2, 4, 6, 8, 10, 12, 30])
    const second = await unpack(checkpoint, { method: 'gptq', groupSize: 8, zeroOffset: 0 })
    expect(second.values.slice(0, 8)).toEqual([0, 1, 2, 3, 4, 5, 6, 15])
  })

  test('of AWQ holds outputs in its own order', async () => {
    const checkpoint = checkpointOf({
      'w.qweight': [[1, 1], Uint32Array.of(nibbles([10, 12, 14, 8, 11, 13, 15, 9]))],
      'w.qzeros': [[1, 1], Uint32Array.of(nibbles([0, 2, 4, 6, 1, 3, 5, 7]))],
      'w.scales': [[1, 8], Float32Array.from({ length: 8 }, () => 0.5)],
    })
    const { shape, values } = await unpack(checkpoint, { method: 'awq', groupSize: undefined, zeroOffset: 0 })
    expect(shape).toEqual([8, 1])
    expect(values).toEqual([10, 11, 12, 13, 14, 15, 8, 9].map((q, zero) => (q - zero) * 0.5))
  })

  test('with parts that are missing or do not fit is refused', async () => {
    const parts = {
      'w.qweight': [[1, 8], new Uint32Array(8)],
      'w.qzeros': [[1, 1], new Uint32Array(1)],
      'w.scales': [[1, 8], new Float32Array(8)],
      'w.g_idx': [[8], Uint32Array.of(0, 0, 0, 0, 0, 0, 0, 1)],
    } as const
    const format = { method: 'gptq', groupSize: 8, zeroOffset: 1 } as const
    await expect(unpack(checkpointOf(parts), format)).rejects.toThrow(/g_idx.*groups from 0 to 0/)
    const { 'w.qzeros': _, ...rest } = parts
    expect(() => listPackedWeights(checkpointOf(rest), format)).toThrow(/qzeros/)
    const wide = { ...parts, 'w.scales': [[2, 4], new Float32Array(8)] } as const
    expect(() => listPackedWeights(checkpointOf(wide), format)).toThrow(/scales.*\[1,8\].*\[2,4\]/)
  })
})
