import OpenAI from 'openai'
import { expect, test } from 'vitest'
import { openStorage } from '../../src/storage/open-storage.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { refuseWrites } from '../refuse-writes.ts'
import { bodyOf, type StartOptions, startServer } from '../server.ts'

type Quota = Readonly<Partial<Record<'requests_per_day' | 'tokens_per_day' | 'cost_per_day_usd', number | null>>>
type Today = Readonly<{ user: Used; key?: Used }>
type Used = Readonly<{ requests: number; prompt_tokens: number; completion_tokens: number; limits: Quota }>

const noon = Date.UTC(2026, 0, 1, 12)

async function openWorld(settings: Record<string, string> = {}, more: Pick<StartOptions, 'logStream'> = {}) {
  const clock = { ms: noon }
  const server = await startServer({
    // Each character of a prompt is a token; an answer that begins with "long" has no end.
    host: createFakeEngine({ answer: (prompt) => ({ pieces: ['a', 'b'], end: !prompt.startsWith('long') }) }),
    now: () => clock.ms,
    settings: { TOKEN_TTL_SECONDS: '1000000', ...settings },
    ...more,
  })
  const call = (method: string, path: string, secret: string, body?: object, signal?: AbortSignal) =>
    fetch(server.url + path, {
      method,
      headers: { authorization: `Bearer ${secret}`, ...(body === undefined ? {} : { 'content-type': 'application/json' }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal === undefined ? {} : { signal }),
    })
  const admin = await server.login('root')
  const ana = await server.login('ana')
  return {
    server,
    clock,
    call,
    admin,
    ana,
    ask: (secret: string, prompt = 'x') => call('POST', '/predict', secret, { prompt }),
    makeKey: async (quota: Quota = {}, secret = ana) =>
      (await bodyOf<{ key: string }>(await call('POST', '/auth/keys', secret, { name: 'k', quota }))).key,
    today: async (secret: string) => bodyOf<Today>(await call('GET', '/auth/usage', secret)),
    [Symbol.asyncDispose]: server[Symbol.asyncDispose],
  }
}

const clientOf = (url: string, apiKey: string) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 })

test('where nothing can be counted, who has a limit is refused, all others are answered, and the log tells it', async () => {
  const lines: string[] = []
  await using world = await openWorld({ LOG_LEVEL: 'error' }, { logStream: { write: (line) => void lines.push(line) } })
  const key = await world.makeKey({ requests_per_day: 5 })
  const { db, close } = await openStorage({ url: await databaseAt(`${world.server.dataDir}/simpleia.db`) })
  const allow = await refuseWrites(db, { table: 'usage_days' })
  const statuses = [(await world.ask(world.ana)).status, (await world.ask(key)).status]
  await expect.poll(() => lines.join('')).toContain('Usage could not be counted')
  await allow()
  await close()
  expect(statuses).toEqual([200, 500])
  expect((await world.ask(key)).status).toBe(200)
})

test('twenty requests at once on a key with a quota of five get five answers', async () => {
  await using world = await openWorld()
  const key = await world.makeKey({ requests_per_day: 5 })
  const answers = await Promise.all(Array.from({ length: 20 }, () => world.ask(key)))
  expect(answers.filter(({ status }) => status === 200)).toHaveLength(5)
  const refused = answers.filter(({ status }) => status === 429)
  expect(refused).toHaveLength(15)
  expect(refused[0]?.headers.get('retry-after')).toBe('43200')
  expect((await bodyOf(refused[0] ?? new Response())).error).toMatchObject({
    code: 'quota_exceeded',
    retry_after_seconds: 43_200,
    message: expect.stringContaining('This API key has used its 5 requests of today'),
  })
  world.clock.ms += 43_200_000
  expect((await world.ask(key)).status).toBe(200)
})

test('a quota holds on streams, sockets and every dialect alike', async () => {
  await using world = await openWorld()
  const key = await world.makeKey({ requests_per_day: 1 })
  // Of what is not there nothing is computed.
  expect((await world.call('POST', '/embed/search', key, { query: 'x' })).status).toBe(200)
  await world.call('POST', '/embed/add', world.ana, { documents: ['x'] })
  expect((await world.ask(key)).status).toBe(200)
  const stream = await world.call('POST', '/predict', key, { prompt: 'x', stream: true })
  expect([stream.status, stream.headers.get('content-type')]).toEqual([429, 'application/json; charset=utf-8'])
  using socket = await world.server.socket({ headers: { authorization: `Bearer ${key}` } })
  socket.send({ prompt: 'x' })
  expect(await socket.next()).toMatchObject({ type: 'error', error: { code: 'quota_exceeded' } })
  const refused = await clientOf(world.server.url, key)
    .chat.completions.create({ model: 'fake', messages: [{ role: 'user', content: 'x' }] })
    .catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(OpenAI.RateLimitError)
  expect(refused).toMatchObject({ status: 429, code: 'insufficient_quota', type: 'insufficient_quota' })
  for (const [path, body] of [
    ['/embed/encode', { texts: ['x'] }],
    ['/embed/search', { query: 'x' }],
    ['/v1/embeddings', { model: 'fake-embedder', input: 'x' }],
    ['/v1/rerank', { query: 'x', documents: ['y'] }],
  ] as const)
    expect((await world.call('POST', path, key, body)).status).toBe(429)
})

test('tokens of prompts, answers, embeddings, searches and rerankings count together', async () => {
  await using world = await openWorld()
  const key = await world.makeKey({ tokens_per_day: 30 })
  await world.call('POST', '/embed/add', world.ana, { documents: ['taken in, and not counted'] })
  await world.ask(key, 'xxx')
  const before = (await world.today(key)).key?.prompt_tokens ?? 0
  await world.call('POST', '/embed/search', key, { query: '123' })
  expect((await world.today(key)).key?.prompt_tokens).toBeGreaterThan(before)
  await world.call('POST', '/embed/encode', key, { texts: ['12345', '1'] })
  await world.call('POST', '/v1/embeddings', key, { model: 'fake-embedder', input: '1234' })
  await world.call('POST', '/v1/rerank', key, { query: '12', documents: ['345'] })
  const { user, key: used } = await world.today(key)
  expect(used).toMatchObject({ requests: 5, completion_tokens: 2, limits: { tokens_per_day: 30, requests_per_day: null } })
  expect(used?.prompt_tokens).toBeGreaterThanOrEqual(3 + 6 + 4 + 5)
  expect(user).toMatchObject({ requests: 5, limits: { tokens_per_day: null } })
  await world.ask(key, 'x'.repeat(30))
  expect((await world.ask(key)).status).toBe(429)
  expect((await world.ask(world.ana)).status).toBe(200)
})

test('an answer that its reader leaves counts as far as it came', async () => {
  await using world = await openWorld()
  const leave = new AbortController()
  const answer = await world.call(
    'POST',
    '/predict',
    world.ana,
    { prompt: 'long story', max_length: 1000, stream: true },
    leave.signal,
  )
  const reader = answer.body?.getReader()
  await reader?.read()
  leave.abort()
  await expect.poll(async () => (await world.today(world.ana)).user.completion_tokens).toBeGreaterThanOrEqual(1)
  expect((await world.today(world.ana)).user).toMatchObject({ requests: 1, prompt_tokens: expect.any(Number) })
})

test('an admin gives a user a quota, which holds for logins and keys together, and takes it back', async () => {
  await using world = await openWorld({ USER_REQUESTS_PER_DAY: '100' })
  const { items } = await bodyOf<{ items: { id: string; username: string }[] }>(
    await world.call('GET', '/admin/users', world.admin),
  )
  const path = `/admin/users/${items.find(({ username }) => username === 'ana')?.id}`
  const changed = await world.call('PATCH', path, world.admin, { quota: { requests_per_day: 2, cost_per_day_usd: 1.5 } })
  expect(await bodyOf<object>(changed)).toMatchObject({
    role: 'user',
    quota: { requests_per_day: 2, tokens_per_day: null, cost_per_day_usd: 1.5 },
  })
  const key = await world.makeKey()
  const statuses = [await world.ask(world.ana), await world.ask(key), await world.ask(world.ana), await world.ask(key)]
  expect(statuses.map(({ status }) => status)).toEqual([200, 200, 429, 429])
  expect((await world.today(key)).user.limits).toEqual({ requests_per_day: 2, tokens_per_day: null, cost_per_day_usd: 1.5 })
  await world.call('PATCH', path, world.admin, { quota: { requests_per_day: null } })
  expect((await world.today(key)).user.limits).toMatchObject({ requests_per_day: 100, cost_per_day_usd: 1.5 })
  expect((await world.ask(key)).status).toBe(200)
  for (const body of [{}, { quota: { requests_per_day: -1 } }, { quota: { requests: 1 } }])
    expect((await world.call('PATCH', path, world.admin, body)).status).toBe(400)
  expect((await world.call('PATCH', path, world.ana, { quota: { requests_per_day: 0 } })).status).toBe(403)
})

test('each key has a rate limit of its own, and a cached answer counts as a request without tokens', async () => {
  await using world = await openWorld({ RATE_LIMIT_REQUESTS: '2' })
  const [one, other] = [await world.makeKey(), await world.makeKey()]
  const ask = (key: string) => world.call('POST', '/predict', key, { prompt: 'xx', temperature: 0 })
  const answers = [await ask(one), await ask(one), await ask(one), await ask(other)]
  expect(answers.map(({ status }) => status)).toEqual([200, 200, 429, 200])
  const { key, user } = await world.today(one)
  expect([key?.requests, key?.completion_tokens, user.requests]).toEqual([2, 2, 3])
})

test('listed keys show what they have used today', async () => {
  await using world = await openWorld()
  const key = await world.makeKey()
  await world.ask(key)
  const { keys } = await bodyOf<{ keys: object[] }>(await world.call('GET', '/auth/keys', world.ana))
  expect(keys).toMatchObject([
    { usage_today: { requests: 1, completion_tokens: 2, cost_usd: 0 }, last_used_at: '2026-01-01T12:00:00.000Z' },
  ])
})

test('the official OpenAI client reads what is left from the headers, of answers, streams and refusals', async () => {
  await using world = await openWorld({ RATE_LIMIT_REQUESTS: '50' })
  const key = await world.makeKey({ requests_per_day: 3, tokens_per_day: 5000 })
  const { chat } = clientOf(world.server.url, key)
  const messages = [{ role: 'user' as const, content: 'x' }]
  const headersOf = ({ response: { headers } }: { response: Response }) =>
    ['limit', 'remaining', 'reset'].flatMap((what) =>
      ['requests', 'tokens'].map((kind) => headers.get(`x-ratelimit-${what}-${kind}`)),
    )
  const first = headersOf(await chat.completions.create({ model: 'fake', messages }).withResponse())
  expect(first).toEqual(['3', '5000', '2', '5000', '12h0m0s', '12h0m0s'])
  const streamed = await chat.completions.create({ model: 'fake', messages, stream: true }).withResponse()
  for await (const _chunk of streamed.data);
  const second = headersOf(streamed)
  expect(second.slice(0, 3)).toEqual(['3', '5000', '1'])
  expect(Number(second[3])).toBeLessThan(5000)
  await chat.completions.create({ model: 'fake', messages })
  const refused = await chat.completions.create({ model: 'fake', messages }).catch((error: unknown) => error)
  expect(refused).toBeInstanceOf(OpenAI.RateLimitError)
  if (refused instanceof OpenAI.RateLimitError) {
    expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('0')
    expect(refused.headers.get('retry-after')).toBe('43200')
  }
  // Without a quota it is the rate limit that is told.
  const plain = await clientOf(world.server.url, await world.makeKey())
    .chat.completions.create({ model: 'fake', messages })
    .withResponse()
  expect(headersOf(plain)).toEqual(['50', null, '49', null, expect.stringMatching(/^(1m0s|\d+s)$/), null])
  const anonymous = await clientOf(world.server.url, 'none').chat.completions.create({ model: 'fake', messages }).withResponse()
  expect(headersOf(anonymous).slice(0, 3)).toEqual(['50', null, '49'])
})

test('what the rate limit refuses says so in the same headers', async () => {
  await using world = await openWorld({ RATE_LIMIT_REQUESTS: '1' })
  const ask = () =>
    clientOf(world.server.url, 'none')
      .chat.completions.create({ model: 'fake', messages: [{ role: 'user', content: 'x' }] })
      .catch((error: unknown) => error)
  await ask()
  const refused = await ask()
  expect(refused).toBeInstanceOf(OpenAI.RateLimitError)
  if (!(refused instanceof OpenAI.RateLimitError)) return
  expect(refused.code).toBe('rate_limit_exceeded')
  expect(refused.headers.get('x-ratelimit-limit-requests')).toBe('1')
  expect(refused.headers.get('x-ratelimit-remaining-requests')).toBe('0')
})
