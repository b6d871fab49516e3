import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { GenerateRequest, Tools } from '../../src/engine/provider.ts'
import { type CacheQuestion, cacheKey, createCache, isDeterministic } from '../../src/predict/cache.ts'
import type { CollectedAnswer } from '../../src/predict/collect.ts'
import { textChoice } from '../answers.ts'

const request: CacheQuestion['request'] = {
  prompt: { type: 'text', text: 'x' },
  maxTokens: 10,
  choices: 1,
  sampling: { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: undefined },
  stop: ['a', 'b'],
  user: 'user:1',
}
const question: CacheQuestion = { provider: 'hf', modelIdentity: 'file 1', request }

const withRequest = (change: Partial<GenerateRequest>): CacheQuestion => ({ ...question, request: { ...request, ...change } })
const withSampling = (change: Partial<GenerateRequest['sampling']>) =>
  withRequest({ sampling: { ...request.sampling, ...change } })
const chat = (...contents: string[]) =>
  withRequest({ prompt: { type: 'chat', messages: contents.map((content) => ({ role: 'user', content })) } })
const withProperties = (properties: object) => ({ type: 'json-schema', schema: { properties }, field: 'x' }) as const
const withParameters = (properties: object, choice: Tools['choice'] = 'auto'): GenerateRequest['prompt'] => {
  const tools = { tools: [{ name: 'f', parameters: { properties } }], choice, parallel: true }
  return { type: 'chat', messages: [{ role: 'user', content: 'x' }], tools }
}

const changes: Readonly<Record<string, CacheQuestion>> = {
  'the base': question,
  provider: { ...question, provider: 'other' },
  'model file': { ...question, modelIdentity: 'file 2' },
  'who asks': withRequest({ user: 'user:2' }),
  prompt: withRequest({ prompt: { type: 'text', text: 'y' } }),
  'a chat': chat('x'),
  'a chat of two': chat('x', 'y'),
  'a chat of two, joined': chat('x","y'),
  'the role': withRequest({ prompt: { type: 'chat', messages: [{ role: 'system', content: 'x' }] } }),
  'max tokens': withRequest({ maxTokens: 11 }),
  'no max tokens': withRequest({ maxTokens: undefined }),
  choices: withRequest({ choices: 2 }),
  temperature: withSampling({ temperature: 0.5 }),
  topP: withSampling({ topP: 0.5 }),
  topK: withSampling({ topK: 5 }),
  minP: withSampling({ minP: 0.5 }),
  'repeat penalty': withSampling({ repeatPenalty: 1.5 }),
  seed: withSampling({ seed: 0 }),
  stop: withRequest({ stop: ['a'] }),
  'stop, joined': withRequest({ stop: ['a|b'] }),
  'stop, joined otherwise': withRequest({ stop: ['a","b'] }),
  'stop, other order': withRequest({ stop: ['b', 'a'] }),
  'JSON object': withRequest({ format: { type: 'json-object' } }),
  'JSON schema': withRequest({ format: { type: 'json-schema', schema: {}, field: 'x' } }),
  'JSON schema of two properties': withRequest({ format: withProperties({ a: {}, b: {} }) }),
  'JSON schema, other order': withRequest({ format: withProperties({ b: {}, a: {} }) }),
  tools: withRequest({ prompt: withParameters({ a: {}, b: {} }) }),
  'tools, other order': withRequest({ prompt: withParameters({ b: {}, a: {} }) }),
  'tools, other choice': withRequest({ prompt: withParameters({ a: {}, b: {} }, 'required') }),
  logprobs: withRequest({ logprobs: 0 }),
  'presence penalty': withSampling({ presencePenalty: 1 }),
  'frequency penalty': withSampling({ frequencyPenalty: 1 }),
  'logit bias': withSampling({ logitBias: { 7: 1 } }),
  'what the caller chose': withSampling({ given: ['temperature'] }),
  'that the caller chose nothing': withSampling({ given: [] }),
}

describe('the key', () => {
  test('differs for every change of what can change the answer', () => {
    const keys = Object.values(changes).map(cacheKey)
    expect(new Set(keys).size).toBe(keys.length)
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{64}$/)
  })

  test('does not depend on the order in which the fields were given', () => {
    const { user, stop, sampling, ...rest } = request
    const { seed, temperature, ...others } = sampling
    const reordered = { user, sampling: { seed, ...others, temperature }, stop, ...rest }
    expect(cacheKey({ request: reordered, modelIdentity: 'file 1', provider: 'hf' })).toBe(cacheKey(question))
  })

  test('is equal exactly for equal questions', () => {
    const text = fc.string({ unit: 'grapheme' })
    const sampling = fc.record({
      temperature: fc.constantFrom(0, 1),
      topP: fc.constantFrom(0.5, 1),
      topK: fc.constantFrom(0, 1),
      minP: fc.constantFrom(0, 1),
      repeatPenalty: fc.constantFrom(1, 1.5),
      seed: fc.constantFrom(undefined, 0, 1),
    })
    const anyQuestion = fc.record({
      provider: fc.constantFrom('hf', 'b'),
      modelIdentity: fc.constantFrom('1', '2'),
      request: fc.record({
        prompt: text.map((content) => ({ type: 'text' as const, text: content })),
        maxTokens: fc.constantFrom(undefined, 1, 0),
        choices: fc.constantFrom(1, 2),
        sampling,
        stop: fc.array(text, { maxLength: 3 }),
        user: text,
      }),
    })
    const canonical = (one: CacheQuestion) =>
      JSON.stringify(one, (_key, value) => (value === undefined ? 'nothing at all' : value))
    fc.assert(
      fc.property(anyQuestion, anyQuestion, (one, other) => {
        expect(cacheKey(one) === cacheKey(other)).toBe(canonical(one) === canonical(other))
        expect(cacheKey(one)).toBe(cacheKey(structuredClone(one)))
      }),
    )
  })
})

test('only temperature 0 or a seed makes an answer that can be kept', () => {
  const kept = [
    withSampling({ temperature: 0 }),
    withSampling({ temperature: 1, seed: 0 }),
    withSampling({ temperature: 1 }),
    withSampling({ temperature: 0.1 }),
    withSampling({ given: ['temperature'] }),
    // A cloud is not told it.
    withSampling({ given: ['topP'] }),
    withSampling({ given: [], seed: 0 }),
  ].map((one) => isDeterministic(one.request))
  expect(kept).toEqual([true, true, false, false, true, false, true])
})

describe('the cache', () => {
  const answer = (text: string): CollectedAnswer => ({
    choices: [textChoice(text)],
    usage: { promptTokens: 1, completionTokens: 1, cachedPromptTokens: 0 },
    timings: { queueMs: 0, promptMs: 0, firstTokenMs: 0, generationMs: 0, tokensPerSecond: 0 },
  })

  test('forgets the answer that was not asked for the longest, and counts it', () => {
    const cache = createCache({ maxEntries: 2, ttlSeconds: 10, now: () => 1 })
    cache.save('a', answer('A'))
    cache.save('b', answer('B'))
    cache.find('a')
    cache.save('c', answer('C'))
    expect(['a', 'b', 'c'].map((key) => cache.find(key)?.choices[0]?.text)).toEqual(['A', undefined, 'C'])
    expect(cache.statistics()).toEqual({ entries: 2, hits: 3, misses: 1, evictions: 1 })
  })

  test('forgets an answer when its time is over', () => {
    let nowMs = 1000
    const cache = createCache({ maxEntries: 2, ttlSeconds: 10, now: () => nowMs })
    cache.save('a', answer('A'))
    nowMs += 10_000
    expect(cache.find('a')).toBeDefined()
    nowMs += 1
    expect(cache.find('a')).toBeUndefined()
  })

  test('counts the scores of tokens, which take more room than the text', () => {
    const cache = createCache({ maxEntries: 10, ttlSeconds: 10, now: () => 1 })
    const token = { text: 'a', bytes: [97], logprob: -1, top: [] }
    const scored = (count: number): CollectedAnswer => ({
      ...answer('A'),
      choices: [{ ...textChoice('A'), tokens: Array.from({ length: count }, () => token) }],
    })
    cache.save('few', scored(1000))
    cache.save('many', scored(1_000_000))
    expect([cache.find('few') === undefined, cache.find('many')]).toEqual([false, undefined])
  })

  test('with no room keeps nothing', () => {
    const cache = createCache({ maxEntries: 0, ttlSeconds: 10, now: () => 1 })
    cache.save('a', answer('A'))
    expect(cache.find('a')).toBeUndefined()
  })
})
