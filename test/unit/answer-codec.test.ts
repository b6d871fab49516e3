import { createCipheriv, randomBytes } from 'node:crypto'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createAnswerCodec } from '../../src/predict/answer-codec.ts'
import type { CollectedAnswer } from '../../src/predict/collect.ts'

const secret = randomBytes(32)
const codec = createAnswerCodec(secret)

// Texts of models may hold anything, halves of characters too.
const text = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string({ unit: fc.constantFrom('\ud800', '\udc00', '\0', '"', '\\', '\u2028') }),
)
const count = fc.nat()
const number = fc.double({ noNaN: true, noDefaultInfinity: true }).filter((value) => !Object.is(value, -0))
const score = { text, bytes: fc.array(fc.nat(255)), logprob: number }
const anyAnswer: fc.Arbitrary<CollectedAnswer> = fc.record({
  choices: fc.array(
    fc.record({
      index: count,
      text,
      reason: fc.constantFrom('stop', 'length', 'tool-calls', 'content-filter'),
      reasoning: text,
      reasoningSignature: fc.option(text, { nil: undefined }),
      toolCalls: fc.array(fc.record({ id: text, name: text, arguments: text })),
      tokens: fc.array(fc.record({ ...score, top: fc.array(fc.record(score)) })),
      stopText: fc.option(text, { nil: undefined }),
    }),
    { maxLength: 3 },
  ),
  usage: fc.record(
    { promptTokens: count, completionTokens: count, cachedPromptTokens: count, reasoningTokens: count },
    { requiredKeys: ['promptTokens', 'completionTokens', 'cachedPromptTokens'] },
  ),
  timings: fc.record({
    queueMs: number,
    promptMs: number,
    firstTokenMs: number,
    generationMs: number,
    tokensPerSecond: number,
  }),
})

/** What a replica with the same key writes there, whatever it is. */
function written(key: string, plain: string): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', secret, nonce).setAAD(Buffer.from(key))
  const encrypted = Buffer.concat([cipher.update(plain, 'utf8'), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), encrypted])
}

describe('an answer that is stored', () => {
  test('comes back as it was', () => {
    fc.assert(
      fc.property(text, anyAnswer, (key, answer) => {
        expect(codec.decode(key, codec.encode(key, answer))).toStrictEqual(structuredClone(answer))
      }),
    )
  })

  test('is nothing once a byte of it is another one, is missing or was added', () => {
    fc.assert(
      fc.property(anyAnswer, fc.nat(), fc.integer({ min: 1, max: 255 }), (answer, place, change) => {
        const stored = codec.encode('key', answer)
        const at = place % stored.length
        const damaged = Buffer.from(stored)
        damaged.writeUInt8(damaged.readUInt8(at) ^ change, at)
        const wrong = [damaged, stored.subarray(0, at), Buffer.concat([stored, Buffer.from([change])])]
        expect(wrong.map((one) => codec.decode('key', one))).toEqual([undefined, undefined, undefined])
      }),
    )
  })

  test('is nothing under another key, nor for another installation', () => {
    fc.assert(
      fc.property(anyAnswer, text, text, (answer, key, other) => {
        fc.pre(Buffer.from(key).compare(Buffer.from(other)) !== 0)
        expect(codec.decode(other, codec.encode(key, answer))).toBeUndefined()
        expect(createAnswerCodec(randomBytes(32)).decode(key, codec.encode(key, answer))).toBeUndefined()
      }),
    )
  })

  test('is nothing in the form of another version', () => {
    const answer = { choices: [], usage: { promptTokens: 1, completionTokens: 1, cachedPromptTokens: 0 } }
    const timings = { queueMs: 0, promptMs: 0, firstTokenMs: 0, generationMs: 0, tokensPerSecond: 0 }
    expect(codec.decode('key', written('key', JSON.stringify({ ...answer, timings })))).toEqual({ ...answer, timings })
    const others: readonly unknown[] = [
      answer,
      { ...answer, timings, more: 1 },
      { ...answer, timings: { ...timings, queueMs: null } },
      { ...answer, timings, choices: [{ text: 'a' }] },
      null,
      [],
    ]
    for (const other of others) expect(codec.decode('key', written('key', JSON.stringify(other)))).toBeUndefined()
    expect(codec.decode('key', written('key', 'no JSON'))).toBeUndefined()
  })
})
