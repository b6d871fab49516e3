import { randomUUID } from 'node:crypto'
import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import type { GenerateRequest, Tools } from '../../src/engine/provider.ts'
import {
  type AnswerCache,
  type CacheQuestion,
  cacheKey,
  createCache,
  isDeterministic,
  sizeOfAnswer,
} from '../../src/predict/cache.ts'
import type { CollectedAnswer } from '../../src/predict/collect.ts'
import { createRedisCache } from '../../src/predict/redis-cache.ts'
import { textChoice } from '../answers.ts'
import { openReplica } from '../redis/replica.ts'
import { isRedisThere, startRedis } from '../redis/server.ts'

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

const answer = (text: string): CollectedAnswer => ({
  choices: [textChoice(text)],
  usage: { promptTokens: 1, completionTokens: 1, cachedPromptTokens: 0 },
  timings: { queueMs: 0, promptMs: 0, firstTokenMs: 0, generationMs: 0, tokensPerSecond: 0 },
})
const scored = (tokens: number): CollectedAnswer => {
  const token = { text: 'a', bytes: [97], logprob: -1, top: [] }
  return { ...answer('A'), choices: [{ ...textChoice('A'), tokens: Array.from({ length: tokens }, () => token) }] }
}
const textsOf = async (cache: AnswerCache, keys: readonly string[]) =>
  (await Promise.all(keys.map((key) => cache.find(key)))).map((found) => found?.choices[0]?.text)

const server = (await isRedisThere()) ? await startRedis() : undefined
afterAll(() => server?.[Symbol.asyncDispose]())

/** Of an installation of its own, so that it begins empty. */
const openInRedis = async (options: typeof usual, secret: string = randomUUID()) =>
  createRedisCache({ ...(await openReplica(server?.url ?? '', secret)), ...options, version: '1' })
const usual = { maxEntries: 10, ttlSeconds: 10 }

const forms: ReadonlyArray<readonly [string, (options: typeof usual) => Promise<AnswerCache>]> = [
  ['in memory', async (options) => createCache({ ...options, now: () => performance.now() })],
  ...(server === undefined ? [] : ([['in Redis', openInRedis]] as const)),
]

describe.each(forms)('the cache %s', (_form, open) => {
  test('gives back what was saved under a key, and counts', async () => {
    const cache = await open(usual)
    expect(await cache.find('a')).toBeUndefined()
    await cache.save('a', answer('A'))
    await cache.save('b', scored(2))
    await cache.save('a', answer('B'))
    expect(await cache.find('a')).toStrictEqual(answer('B'))
    expect(await cache.find('b')).toStrictEqual(scored(2))
    expect(cache.statistics()).toEqual({ entries: 2, hits: 2, misses: 1, evictions: 0 })
  })

  test('forgets the answer that was not asked for the longest, and counts it', async () => {
    const cache = await open({ ...usual, maxEntries: 2 })
    await cache.save('a', answer('A'))
    await cache.save('b', answer('B'))
    await cache.find('a')
    await cache.save('c', answer('C'))
    expect(await textsOf(cache, ['a', 'b', 'c'])).toEqual(['A', undefined, 'C'])
    expect(cache.statistics()).toEqual({ entries: 2, hits: 3, misses: 1, evictions: 1 })
  })

  test('counts the scores of tokens, which take more room than the text', async () => {
    const cache = await open(usual)
    await cache.save('few', scored(1000))
    await cache.save('many', scored(1_000_000))
    expect([(await cache.find('few')) === undefined, await cache.find('many')]).toEqual([false, undefined])
  })

  test('with no room keeps nothing', async () => {
    const cache = await open({ ...usual, maxEntries: 0 })
    await cache.save('a', answer('A'))
    expect(await cache.find('a')).toBeUndefined()
    expect(cache.statistics()).toEqual({ entries: 0, hits: 0, misses: 0, evictions: 0 })
  })

  test('forgets an answer when its time is over, however often it was asked for', async () => {
    const cache = await open({ ...usual, ttlSeconds: 1 })
    await cache.save('a', answer('A'))
    const start = performance.now()
    await expect.poll(() => cache.find('a'), { interval: 20, timeout: 3000 }).toBeUndefined()
    expect(performance.now() - start).toBeGreaterThan(900)
  })
})

test('an answer takes room for all that was written: text, thoughts with their signature, calls of tools, and scores', () => {
  const call = { id: '1', name: 'four', arguments: '{"a":1}' }
  const choice = { ...textChoice('12'), reasoning: '123', reasoningSignature: '1234', toolCalls: [call, call] }
  expect(sizeOfAnswer({ ...answer(''), choices: [choice, choice] })).toBe(2 * (2 + 3 + 4 + 2 * (4 + 7)))
  expect(sizeOfAnswer(scored(3))).toBeGreaterThan(3)
})

test('the cache in memory forgets an answer when its time is over, to the millisecond', async () => {
  let nowMs = 1000
  const cache = createCache({ maxEntries: 2, ttlSeconds: 10, now: () => nowMs })
  await cache.save('a', answer('A'))
  nowMs += 10_000
  expect(await cache.find('a')).toBeDefined()
  nowMs += 1
  expect(await cache.find('a')).toBeUndefined()
})

describe.skipIf(server === undefined)('the cache in Redis', () => {
  test('is one for all replicas, and for none of another installation or version', async () => {
    const [one, other] = [await openInRedis(usual, 'shared'), await openInRedis(usual, 'shared')]
    await one.save('a', answer('A'))
    expect(await textsOf(other, ['a'])).toEqual(['A'])
    expect(await textsOf(await openInRedis(usual), ['a'])).toEqual([undefined])
    const next = createRedisCache({ ...(await openReplica(server?.url ?? '', 'shared')), ...usual, version: '2' })
    expect(await textsOf(next, ['a'])).toEqual([undefined])
  })

  test('holds no more than it may of all together, and nothing that is too long by itself', async () => {
    const replica = await openReplica(server?.url ?? '', randomUUID())
    const cache = createRedisCache({ ...replica, ...usual, version: '1', maxAnswerBytes: 2000, maxBytes: 5000 })
    await cache.save('long', answer('x'.repeat(1900)))
    for (const key of ['a', 'b', 'c', 'd', 'e']) await cache.save(key, answer(key.repeat(1000)))
    const kept = await textsOf(cache, ['long', 'a', 'b', 'c', 'd', 'e'])
    expect(kept.map((text) => text?.length)).toEqual([undefined, undefined, undefined, 1000, 1000, 1000])
    expect(cache.statistics()).toMatchObject({ entries: 3, evictions: 2 })
    // What has ended by itself, or was dropped by Redis, takes no room for ever.
    for (const key of ['c', 'd', 'e']) await server?.ask('DEL', replica.names.keyOf('answer', `1 ${key}`))
    for (const key of ['f', 'g', 'h']) await cache.save(key, answer(key.repeat(1000)))
    expect(await textsOf(cache, ['f', 'g', 'h'])).toEqual(['f', 'g', 'h'].map((key) => key.repeat(1000)))
    expect(cache.statistics()).toMatchObject({ entries: 3, evictions: 2 })
  })

  test('goes on where Redis has dropped a part of its own accounts', async () => {
    for (const lost of ['index', 'sizes']) {
      const replica = await openReplica(server?.url ?? '', randomUUID())
      const cache = createRedisCache({ ...replica, ...usual, version: '1', maxEntries: 2, maxBytes: 3000 })
      const long = (text: string) => answer(text.repeat(1000))
      await cache.save('a', long('a'))
      await server?.ask('DEL', replica.names.keyOf('answers', lost))
      for (const key of ['b', 'c', 'd']) await cache.save(key, long(key))
      expect((await textsOf(cache, ['b', 'c', 'd'])).map((text) => text?.[0])).toEqual([undefined, 'c', 'd'])
      expect(cache.statistics()).toMatchObject({ entries: 2 })
    }
  })

  test('takes what is damaged, made by others or under another key for a miss, and mends it', async () => {
    const replica = await openReplica(server?.url ?? '', randomUUID())
    const cache = createRedisCache({ ...replica, ...usual, version: '1' })
    const key = replica.names.keyOf('answer', '1 a')
    const other = replica.names.keyOf('answer', '1 b')
    await cache.save('b', answer('B'))
    const damages: ReadonlyArray<readonly string[]> = [
      ['SET', key, ''],
      ['SET', key, JSON.stringify(answer('forged'))],
      ['SETRANGE', key, '40', 'x!'],
      ['APPEND', key, 'x'],
      ['COPY', other, key, 'REPLACE'],
    ]
    for (const damage of damages) {
      await cache.save('a', answer('A'))
      expect(await textsOf(cache, ['a'])).toEqual(['A'])
      await server?.ask(...damage)
      expect(await textsOf(cache, ['a']), damage.join(' ')).toEqual([undefined])
    }
    await server?.ask('DEL', key)
    await server?.ask('LPUSH', key, 'x')
    expect(await textsOf(cache, ['a'])).toEqual([undefined])
    await cache.save('a', answer('A'))
    expect(await textsOf(cache, ['a', 'b'])).toEqual(['A', 'B'])
  })

  test('shows nobody in Redis what was asked or answered, nor who asked', async () => {
    const cache = await openInRedis(usual)
    await cache.save(cacheKey(question), answer('canary of an answer'))
    const keys = ((await server?.ask('KEYS', '*')) ?? '').match(/simpleia:\S+/g) ?? []
    const values = await Promise.all(keys.map((key) => server?.ask('DUMP', key)))
    expect(keys.length).toBeGreaterThan(0)
    expect([...keys, ...values].join('\n')).not.toMatch(/canary|user:1|[0-9a-f]{64}/)
  })

  test('only misses while Redis is gone', async () => {
    const own = await startRedis()
    const cache = createRedisCache({ ...(await openReplica(own.url)), ...usual, version: '1' })
    await cache.save('a', answer('A'))
    await own.stop()
    expect(await cache.find('a')).toBeUndefined()
    await cache.save('a', answer('A'))
    expect(await cache.find('a')).toBeUndefined()
    expect(cache.statistics()).toMatchObject({ hits: 0, misses: 2 })
    await own[Symbol.asyncDispose]()
  })
})
