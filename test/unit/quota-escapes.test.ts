import { once } from 'node:events'
import { setImmediate } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { GenerateEvent, ModelHost, Provider } from '../../src/engine/provider.ts'
import type { Elsewhere } from '../../src/engine/providers.ts'
import { AppError } from '../../src/errors.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { bodyOf, startServer } from '../server.ts'

type Used = Readonly<{ requests: number; prompt_tokens: number; completion_tokens: number }>

const says: GenerateEvent[] = [
  { type: 'text-delta', index: 0, text: 'a' },
  { type: 'choice-end', index: 0, reason: 'stop' },
  generationEnd(),
]
const messages = [{ role: 'user', content: 'x' }]

function cloud(name: string, generate: Provider['generate']): Provider {
  return {
    name,
    ranOn: 'cloud',
    models: [],
    choose: async (model = 'm') => ({ name: model, identity: `${name} ${model}` }),
    generate,
    countTokens: async () => 7,
    close: async () => {},
  }
}

type World = Readonly<{ host?: ModelHost; elsewhere?: Elsewhere; settings?: Record<string, string> }>

async function openWorld({ host = createScriptedHost(() => says), elsewhere, settings = {} }: World = {}) {
  const server = await startServer({
    host,
    settings,
    readElsewhere: async () => elsewhere ?? { providers: [], routes: new Map() },
  })
  onTestFinished(() => server[Symbol.asyncDispose]())
  await server.login('root')
  const authorization = `Bearer ${await server.login('ana')}`
  const post = (path: string, body: object, signal?: AbortSignal) =>
    fetch(server.url + path, {
      method: 'POST',
      headers: { 'content-type': 'application/json', authorization },
      body: JSON.stringify(body),
      ...(signal === undefined ? {} : { signal }),
    })
  const used = async () =>
    (await bodyOf<{ user: Used }>(await fetch(`${server.url}/auth/usage`, { headers: { authorization } }))).user
  return { host, post, used }
}

test('a request that goes along a route counts once', async () => {
  const failing = (name: string) =>
    cloud(name, async function* () {
      yield* []
      throw new AppError('upstream', 'It failed.')
    })
  const { post, used } = await openWorld({
    elsewhere: { providers: [failing('one'), failing('two')], routes: new Map([['careful', ['one', 'two', 'hf']]]) },
    settings: { USER_REQUESTS_PER_DAY: '1' },
  })
  const answer = await post('/v1/chat/completions', { model: 'careful', messages })
  expect([answer.status, answer.headers.get('x-simpleia-passed-by')]).toEqual([200, 'one=upstream, two=upstream'])
  expect(await used()).toMatchObject({ requests: 1, prompt_tokens: 7, completion_tokens: 3 })
})

describe('who leaves before the first piece', () => {
  test.each([
    ['counts by the prompt, once it was sent to a cloud', true, 75_000],
    ['counts nothing while it waits for its turn there', false, 0],
  ] as const)('%s', async (_case, isSent, tokens) => {
    const begun = Promise.withResolvers<void>()
    const ended = Promise.withResolvers<void>()
    const slow = cloud('slow', async function* (_request, signal, onSent) {
      if (isSent) onSent?.()
      begun.resolve()
      await once(signal, 'abort')
      yield* []
      ended.resolve()
      throw new AppError('aborted', 'The caller left.')
    })
    const { post, used } = await openWorld({ elsewhere: { providers: [slow], routes: new Map() } })
    const gone = new AbortController()
    const body = { model: 'slow/m', messages: [{ role: 'user', content: 'x'.repeat(300_000) }] }
    const answer = post('/v1/chat/completions', body, gone.signal).catch(() => undefined)
    await begun.promise
    gone.abort()
    await answer
    await ended.promise
    await expect.poll(async () => (await used()).prompt_tokens).toBeGreaterThanOrEqual(tokens)
    expect(await used()).toMatchObject({ requests: 1, completion_tokens: 0, ...(isSent ? {} : { prompt_tokens: 0 }) })
  })

  test('counts by the prompt that a model of this machine has begun to read', async () => {
    const host = createFakeEngine({ answer: () => ({ pieces: ['a'], end: false }), contextSize: 100_000, pauseMs: 1 })
    const { post, used } = await openWorld({ host })
    const gone = new AbortController()
    const answer = post('/predict', { prompt: 'x'.repeat(40_000) }, gone.signal).catch(() => undefined)
    while (host.status().active === 0) await setImmediate()
    gone.abort()
    await answer
    await expect.poll(async () => (await used()).prompt_tokens).toBe(10_000)
  })
})

test('counting tokens has the rate limit of answers', async () => {
  for (const [path, body] of [
    ['/v1/messages/count_tokens', { model: 'scripted', messages }],
    ['/v1/responses/input_tokens', { model: 'scripted', input: 'x' }],
  ] as const) {
    const { post } = await openWorld({ settings: { RATE_LIMIT_REQUESTS: '2' } })
    const statuses: number[] = []
    for (let request = 0; request < 3; request += 1) statuses.push((await post(path, body)).status)
    expect(statuses).toEqual([200, 200, 429])
  }
})

test('counting tokens is a request where it leaves this machine, and none where it does not', async () => {
  const claude = cloud('claude', async function* () {
    yield* says
  })
  const { post, used } = await openWorld({
    elsewhere: { providers: [claude], routes: new Map() },
    settings: { USER_REQUESTS_PER_DAY: '1' },
  })
  const count = async (model: string) => (await post('/v1/messages/count_tokens', { model, messages })).status
  expect([await count('scripted'), await count('claude/m'), await count('claude/m'), await count('scripted')]).toEqual([
    200, 200, 429, 200,
  ])
  expect(await used()).toMatchObject({ requests: 1 })
})

test.each([
  ['/api/generate', {}],
  ['/api/chat', { messages: [] }],
])('to have %s load a model is a request', async (path, body) => {
  const loads: string[] = []
  const host = createFakeEngine({
    answer: () => ({ pieces: ['a'] }),
    models: ['first', 'second', 'third'],
    onLoad: (name) => loads.push(name),
  })
  const { post, used } = await openWorld({ host, settings: { USER_REQUESTS_PER_DAY: '1' } })
  expect((await post(path, { model: 'second', ...body })).status).toBe(200)
  expect((await post(path, { model: 'third', ...body })).status).toBe(429)
  expect(loads).toEqual(['first', 'second'])
  expect(await used()).toMatchObject({ requests: 1 })
})
