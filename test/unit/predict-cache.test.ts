import { describe, expect, test } from 'vitest'
import { systemClock } from '../../src/engine/cloud/clock.ts'
import type { ModelHost } from '../../src/engine/provider.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

/** Answers with the number of the call, so that an answer from the cache shows. */
function counting(): ModelHost {
  let calls = 0
  const engine = createFakeEngine({ answer: () => ({ pieces: ['call ', String(calls)] }) })
  return {
    ...engine,
    generate(request, signal) {
      calls += 1
      return engine.generate(request, signal)
    },
  }
}

async function isCached(server: TestServer, body: object | string, headers: Record<string, string> = {}): Promise<boolean> {
  const { cached } = await bodyOf(await server.predict(body, headers))
  return cached
}

const base = { prompt: 'x', temperature: 0, max_length: 10, stop: ['x', 'y'], seed: 1 }

describe('the second identical question', () => {
  test('is answered without the model, under an id of its own', async () => {
    await using server = await startServer({ host: counting() })
    const first = await bodyOf(await server.predict(base))
    const second = await bodyOf(await server.predict(base))
    expect([first.cached, second.cached]).toEqual([false, true])
    expect(second).toEqual({ ...first, id: second.id, cached: true })
    expect(second.id).not.toBe(first.id)
  })

  test('may have its fields in another order', async () => {
    await using server = await startServer({ host: counting() })
    await server.predict(base)
    expect(await isCached(server, Object.fromEntries(Object.entries(base).reverse()))).toBe(true)
  })

  test.each([
    { prompt: 'y' },
    { temperature: 0.5 },
    { max_length: 11 },
    { stop: ['x|y'] },
    { stop: 'x' },
    { seed: 2 },
    { top_p: 0.5 },
    { top_k: 3 },
    { min_p: 0.2 },
    { repeat_penalty: 1.2 },
    { num_return_sequences: 2 },
    { json_schema: { type: 'object' } },
  ])('is another question with %j', async (change) => {
    await using server = await startServer({ host: counting() })
    await server.predict(base)
    expect(await isCached(server, { ...base, ...change })).toBe(false)
    expect(await isCached(server, base)).toBe(true)
  })

  test('is answered anew where chance was wanted', async () => {
    await using server = await startServer({ host: counting() })
    for (let time = 0; time < 2; time += 1) {
      expect(await isCached(server, { prompt: 'x' })).toBe(false)
      expect(await isCached(server, { prompt: 'x', temperature: 1 })).toBe(false)
    }
  })

  test('is answered anew after the time to live', async () => {
    let nowMs = 1_700_000_000_000
    const clock = { ...systemClock, now: () => nowMs }
    await using server = await startServer({ host: counting(), settings: { CACHE_TTL_SECONDS: '60' }, clock })
    await server.predict(base)
    nowMs += 59_000
    expect(await isCached(server, base)).toBe(true)
    nowMs += 2000
    expect(await isCached(server, base)).toBe(false)
  })

  test('is answered anew by a stream, which also leaves nothing behind', async () => {
    await using server = await startServer({ host: counting() })
    await server.stream(base)
    expect(await isCached(server, base)).toBe(false)
    expect((await server.stream(base)).text).toBe('call 3')
  })
})

test("nobody gets another's cached answer, and no proxy may keep one", async () => {
  await using server = await startServer({ host: counting() })
  const admin = { authorization: `Bearer ${await server.login('admin')}` }
  const ana = { authorization: `Bearer ${await server.login('ana')}` }
  const bea = { authorization: `Bearer ${await server.login('bea')}` }
  await server.predict(base, ana)
  for (const headers of [bea, admin, {}]) expect(await isCached(server, base, headers)).toBe(false)
  const again = await server.predict(base, ana)
  expect((await bodyOf(again)).cached).toBe(true)
  expect(again.headers.get('cache-control')).toBe('private, no-store')
})

describe('an answer that did not come to its end is never kept', () => {
  test('after an error at the third piece', async () => {
    let failing = true
    const host = createFakeEngine({ answer: () => ({ pieces: ['a', 'b', 'c', 'd'], ...(failing ? { failAfter: 3 } : {}) }) })
    await using server = await startServer({ host })
    const waiters = await Promise.all(Array.from({ length: 5 }, () => server.predict({ ...base, stop: [] })))
    expect(waiters.map(({ status }) => status)).toEqual(Array(5).fill(503))
    failing = false
    const next = await bodyOf(await server.predict({ ...base, stop: [] }))
    expect([next.cached, next.choices[0]?.text]).toEqual([false, 'abcd'])
  })

  test('after its caller left, while others who asked the same get the whole text', async () => {
    const host = createFakeEngine({ answer: () => ({ pieces: ['a', 'b', 'c', 'd'] }), pauseMs: 5 })
    await using server = await startServer({ host })
    const question = { ...base, stop: [] }
    const gone = new AbortController()
    const leaver = server.predict(question, {}, gone.signal).catch(() => undefined)
    const waiters = Array.from({ length: 5 }, () => server.predict(question))
    setTimeout(() => gone.abort(), 8)
    await leaver
    for (const waiter of waiters) expect((await bodyOf(await waiter)).choices[0]?.text).toBe('abcd')
  })

  test('after its caller left at the third piece: the next one gets the whole text, made anew', async () => {
    let pieces = 0
    // So long that no two pieces come together.
    const engine = createFakeEngine({ answer: () => ({ pieces: ['a', 'b', 'c', 'd'] }), pauseMs: 20 })
    const gone = new AbortController()
    const host: ModelHost = {
      ...engine,
      async *generate(request, signal) {
        for await (const event of engine.generate(request, signal)) {
          if (event.type === 'text-delta') pieces += 1
          if (pieces === 3) gone.abort()
          yield event
        }
      },
    }
    await using server = await startServer({ host })
    const question = { ...base, stop: [] }
    await expect(server.predict(question, {}, gone.signal)).rejects.toThrow()
    await expect.poll(() => host.status().active).toBe(0)
    const next = await bodyOf(await server.predict(question))
    expect([next.cached, next.choices[0]?.text]).toEqual([false, 'abcd'])
  })

  test('after the service ended it', async () => {
    const host = createFakeEngine({ answer: () => ({ pieces: ['a'], end: false }), pauseMs: 5 })
    await using server = await startServer({ host })
    const answer = server.predict({ ...base, max_length: 1000, stop: [] })
    await expect.poll(() => host.status().active).toBe(1)
    await server.app.close({ graceMs: 20 })
    const { error } = await bodyOf(await answer)
    expect(error.code).toBe('unavailable')
  })
})

test('hits, misses, their ratio and evictions are in the metrics', async () => {
  await using server = await startServer({ host: counting(), settings: { CACHE_MAX_ENTRIES: '1' } })
  for (const prompt of ['x', 'x', 'y', 'x']) await server.predict({ ...base, prompt })
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  expect(metrics).toMatch(/^simpleia_cache_hits_total 1$/m)
  expect(metrics).toMatch(/^simpleia_cache_misses_total 3$/m)
  expect(metrics).toMatch(/^simpleia_cache_hit_ratio 0.25$/m)
  expect(metrics).toMatch(/^simpleia_cache_evictions_total 2$/m)
  expect(metrics).toMatch(/^simpleia_cache_entries 1$/m)
})
