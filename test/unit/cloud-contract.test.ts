import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { collect } from '../../src/predict/collect.ts'
import {
  beginsWith,
  type CloudServer,
  isSilent,
  refuses,
  type Script,
  says,
  startCloudServer,
  streams,
  tears,
  tearsAfter,
} from '../cloud-server.ts'
import { ask, createCloudWorld, failureOf, type Kind, kinds, listEvents, never, secret } from '../cloud-world.ts'
import { egressOf } from '../fake-egress.ts'

const names: readonly Kind[] = ['claude', 'openai', 'custom']

describe.each(names)('the provider %s', (kind) => {
  const { hello, twoCalls, begun, failure, path } = kinds[kind]
  let server: CloudServer

  beforeEach(async () => {
    server = await startCloudServer(streams(hello))
  })
  afterEach(() => server.close())

  test('answers piece by piece, and ends with what it cost', async () => {
    const { provider, egress } = createCloudWorld(kind, [server.url])
    const events = await listEvents(provider)
    const usage = { promptTokens: 25, completionTokens: 15, cachedPromptTokens: 0 }
    expect(events).toEqual([
      { type: 'text-delta', index: 0, text: 'Hello' },
      { type: 'text-delta', index: 0, text: ' there' },
      { type: 'choice-end', index: 0, reason: 'stop' },
      { type: 'generation-end', usage, timings: expect.anything() },
    ])
    expect(egress.calls).toEqual([
      {
        intent: { purpose: 'answer', user: 'user:1', provider: kind, model: 'test-model' },
        urls: [expect.stringContaining(server.url)],
        usage,
        ended: true,
      },
    ])
  })

  test('sends its key, and nothing of this machine', async () => {
    const { provider } = createCloudWorld(kind, [server.url])
    await listEvents(provider)
    const { headers } = await server.request(0)
    expect(headers.authorization).toBe(`Bearer ${secret}`)
    expect(headers['user-agent']).toBe('simpleIA')
    expect(Object.keys(headers).filter((name) => /stainless|organization|project/.test(name))).toEqual([])
  })

  test('is sent images in the request alone, where it is not the official one', async () => {
    const { provider } = createCloudWorld(kind, [server.url])
    const withImage = (image: string) =>
      ask({ prompt: { type: 'chat', messages: [{ role: 'user', content: 'x', images: [image] }] } })
    await collect(provider.generate(withImage('data:image/png;base64,AAAA'), never))
    for (const address of ['https://127.0.0.1/a.png', 'https://example.org/a.png', 'http://10.0.0.1/a.png']) {
      const refused = { code: 'invalid', message: expect.stringContaining('data: addresses'), details: [{ field: 'messages' }] }
      await expect(collect(provider.generate(withImage(address), never))).rejects.toMatchObject(refused)
      await expect(provider.countTokens(withImage(address), never)).rejects.toMatchObject(refused)
    }
    expect(server.requests).toHaveLength(1)
  })

  test('gives each call of a tool its arguments before the next begins', async () => {
    server.answer(streams(twoCalls))
    const { provider } = createCloudWorld(kind, [server.url])
    const events = await listEvents(provider)
    expect(events.slice(1, -1)).toEqual([
      { type: 'tool-call-start', index: 0, call: 0, id: 'call_1', name: 'weather' },
      { type: 'tool-call-delta', index: 0, call: 0, text: '{"city":' },
      { type: 'tool-call-delta', index: 0, call: 0, text: '"Lima"}' },
      { type: 'tool-call-start', index: 0, call: 1, id: 'call_2', name: 'clock' },
      { type: 'tool-call-delta', index: 0, call: 1, text: '{}' },
      { type: 'choice-end', index: 0, reason: 'tool-calls' },
    ])
  })

  test('names its models, and refuses others', async () => {
    const { provider } = createCloudWorld(kind, [server.url])
    const chosen = await provider.choose(undefined)
    expect(chosen.name).toBe('test-model')
    expect(chosen.identity).not.toBe((await createCloudWorld(kind, ['http://127.0.0.1:1']).provider.choose(undefined)).identity)
    await expect(provider.choose('other')).rejects.toMatchObject({ code: 'not_found' })
    const open = createCloudWorld(kind, [server.url], { models: [] }).provider
    expect((await open.choose('other')).name).toBe('other')
    await expect(open.choose(undefined)).rejects.toMatchObject({ code: 'unavailable' })
    await expect(open.choose('a\nb')).rejects.toMatchObject({ code: 'invalid' })
  })

  test('runs where its servers are', () => {
    const ranOn = (...urls: string[]) => createCloudWorld(kind, urls).provider.ranOn
    expect(ranOn('http://localhost:1', 'http://127.3.2.1', 'http://[::1]:8080')).toBe('local')
    expect(ranOn('http://localhost:1', 'https://example.org')).toBe('cloud')
    expect(ranOn('http://127.0.0.1.example.org')).toBe('cloud')
    expect(ranOn('http://localhost.example.org')).toBe('cloud')
  })

  test.each([
    ['refuses the key', refuses(401, failure(`Incorrect API key provided: ${secret}`, 'authentication_error')), 'upstream'],
    ['forbids', refuses(403, failure('No', 'permission_error')), 'upstream'],
    ['knows no such model', refuses(404, failure('model: test-model', 'not_found_error')), 'not_found'],
    ['has no such page', says(404, 'text/html', '<h1>Not found</h1>'), 'upstream'],
    ['refuses a field', refuses(400, failure(`bad field, and ${secret}`, 'invalid_request_error')), 'invalid'],
    ['fails', refuses(500, failure('Oops', 'api_error')), 'upstream'],
    ['tears the connection', tears, 'upstream'],
    ['sends a page', says(200, 'text/html', '<h1>Log in</h1>'), 'upstream'],
    ['sends another type', says(200, 'application/json', '{}'), 'upstream'],
    ['sends no JSON', streams('event: message_start\ndata: {"a\n\n'), 'upstream'],
    ['sends something else', streams('event: message_start\ndata: [1]\n\n'), 'upstream'],
    ['sends nothing', streams(''), 'upstream'],
  ] satisfies [string, Script, string][])('says so when the server %s', async (_what, script, code) => {
    server.answer(script)
    const { provider, egress } = createCloudWorld(kind, [server.url], { maxRetries: 0 })
    const error = await failureOf(listEvents(provider))
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({ code })
    expect(egress.calls).toMatchObject([{ ended: true }])
    expect(inspect([error, provider], { depth: 20, showHidden: true })).not.toContain(secret)
  })

  test('does not read a line without an end', async () => {
    server.answer(beginsWith(`data: ${'x'.repeat(5_000_000)}`))
    const { provider } = createCloudWorld(kind, [server.url])
    const message = expect.stringContaining('a line without an end')
    await expect(listEvents(provider)).rejects.toMatchObject({ code: 'upstream', message })
    await (await server.request(0)).closed
  })

  test('carries no prompt to where it is sent on', async () => {
    server.answer((response) => response.writeHead(307, { location: '/elsewhere' }).end(), streams(hello))
    const { provider } = createCloudWorld(kind, [server.url])
    await expect(listEvents(provider)).rejects.toMatchObject({ code: 'upstream' })
    expect(server.requests).toHaveLength(1)
  })

  test('tells how long to wait when it is asked too often', async () => {
    server.answer(refuses(429, failure('Slow down', 'rate_limit_error'), { 'retry-after': '70' }))
    const { provider } = createCloudWorld(kind, [server.url])
    await expect(listEvents(provider)).rejects.toMatchObject({ code: 'rate_limited', retryAfterSeconds: 70 })
    expect(server.requests).toHaveLength(1)
  })

  test('waits as long as it is told, and tries again', async () => {
    server.answer(refuses(429, failure('Slow down', 'rate_limit_error'), { 'retry-after': '7' }), streams(hello))
    const { provider, clock } = createCloudWorld(kind, [server.url])
    const events = listEvents(provider)
    await clock.awaited(7000)
    clock.advance(7000)
    expect(await events).toHaveLength(4)
  })

  test('tries again after a failure, later each time, and gives up', async () => {
    server.answer(refuses(500, failure('Oops', 'api_error')), tears, refuses(529, failure('Overloaded', 'overloaded_error')))
    const { provider, clock } = createCloudWorld(kind, [server.url])
    const failed = failureOf(listEvents(provider))
    for (const ms of [500, 1000]) {
      await clock.awaited(ms)
      clock.advance(ms)
    }
    expect(await failed).toMatchObject({ code: 'upstream' })
    expect(server.requests).toHaveLength(3)
  })

  test('asks once only where the server says that it is no use', async () => {
    server.answer(refuses(500, failure('Oops', 'api_error'), { 'x-should-retry': 'false' }))
    const { provider } = createCloudWorld(kind, [server.url])
    await expect(listEvents(provider)).rejects.toMatchObject({ code: 'upstream' })
    expect(server.requests).toHaveLength(1)
  })

  test.each([
    ['is torn', tearsAfter(begun)],
    ['ends', streams(begun)],
  ])('fails, and never tries again, when an answer that has begun %s', async (_what, script) => {
    server.answer(script)
    const { provider } = createCloudWorld(kind, [server.url])
    const seen: string[] = []
    const reading = (async () => {
      for await (const event of provider.generate(ask(), never)) seen.push(event.type)
    })()
    await expect(reading).rejects.toMatchObject({ code: 'upstream' })
    expect(seen).toEqual(['text-delta'])
    expect(server.requests).toHaveLength(1)
  })

  test('does not wait for a first piece without end', async () => {
    server.answer(isSilent)
    const { provider, clock } = createCloudWorld(kind, [server.url])
    const failed = failureOf(listEvents(provider))
    const { closed } = await server.request(0)
    clock.advance(1001)
    expect(await failed).toMatchObject({ code: 'upstream', message: expect.stringContaining('did not begin') })
    await closed
  })

  test('does not wait for the next piece without end', async () => {
    server.answer(beginsWith(begun))
    const { provider, clock } = createCloudWorld(kind, [server.url])
    const failed = failureOf(listEvents(provider))
    await clock.awaited(1002)
    const { closed } = await server.request(0)
    clock.advance(1002)
    expect(await failed).toMatchObject({ code: 'upstream', message: expect.stringContaining('in the middle') })
    await closed
  })

  test('does not read an answer without end', async () => {
    server.answer((response) => {
      beginsWith(begun)(response)
      const timer = setInterval(() => response.write(': still here\n\n'), 1)
      response.once('close', () => clearInterval(timer))
    })
    const { provider, clock } = createCloudWorld(kind, [server.url], {
      timeouts: { firstTokenMs: 1001, idleMs: 1_000_000, totalMs: 5000 },
    })
    const failed = failureOf(listEvents(provider))
    await clock.awaited(1_000_000)
    clock.advance(5000)
    expect(await failed).toMatchObject({ code: 'upstream', message: expect.stringContaining('too long') })
    await (await server.request(0)).closed
  })

  test('cancels there what is cancelled here', async () => {
    server.answer(beginsWith(begun))
    const { provider, egress } = createCloudWorld(kind, [server.url])
    const stop = new AbortController()
    const failed = failureOf(listEvents(provider, ask(), stop.signal))
    const { closed } = await server.request(0)
    const beganMs = performance.now()
    stop.abort()
    expect(await failed).toMatchObject({ code: 'aborted' })
    await closed
    expect(performance.now() - beganMs).toBeLessThan(1000)
    expect(egress.calls).toMatchObject([{ ended: true }])
  })

  test('cancels there when the loop is left', async () => {
    server.answer(beginsWith(begun))
    const { provider, egress } = createCloudWorld(kind, [server.url])
    for await (const _event of provider.generate(ask(), never)) break
    await (await server.request(0)).closed
    expect(egress.calls).toMatchObject([{ ended: true }])
  })

  test('is busy when too many ask, and takes its turns', async () => {
    server.answer(isSilent)
    const { provider } = createCloudWorld(kind, [server.url], { maxParallel: 1, maxQueue: 1 })
    const stop = new AbortController()
    const first = failureOf(listEvents(provider, ask(), stop.signal))
    await server.request(0)
    const second = listEvents(provider)
    await expect(listEvents(provider)).rejects.toMatchObject({ code: 'busy' })
    server.answer(streams(hello))
    stop.abort()
    expect(await first).toMatchObject({ code: 'aborted' })
    expect(await second).toHaveLength(4)
  })

  test('what LOCAL_ONLY forbids stays forbidden', async () => {
    const refusal = new AppError('forbidden', 'LOCAL_ONLY is set.')
    const { provider } = createCloudWorld(kind, [server.url], { egress: egressOf(() => Promise.reject(refusal)) })
    await expect(listEvents(provider)).rejects.toBe(refusal)
  })

  test('measures the time to the first piece, and from there', async () => {
    server.answer((response) => {
      const [first = '', ...rest] = hello.split('\n\n').map((event) => `${event}\n\n`)
      response.writeHead(200, { 'content-type': 'text/event-stream' }).write(first)
      clock.advance(300)
      response.end(rest.join(''))
    })
    const { provider, clock } = createCloudWorld(kind, [server.url])
    const { timings } = await collect(provider.generate(ask(), never))
    expect(timings).toMatchObject({ queueMs: 0, promptMs: 300, firstTokenMs: 300 })
  })

  test('takes a text as what a user says', async () => {
    const { provider } = createCloudWorld(kind, [server.url])
    await listEvents(provider, ask({ prompt: { type: 'text', text: 'Once upon a time' } }))
    const { body, path: asked } = await server.request(0)
    expect(body).toMatchObject({ messages: [{ role: 'user', content: 'Once upon a time' }] })
    expect(asked).toBe(kind === 'claude' ? '/v1/messages' : `${path}/chat/completions`)
  })

  test('refuses an address that is none, and does not repeat it', () => {
    for (const url of ['ftp://example.org', 'nonsense', 'http://user:hidden@example.org', 'http://example.org/?key=hidden']) {
      const error = (() => {
        try {
          return createCloudWorld(kind, [url], { baseUrls: [url] })
        } catch (error) {
          return error
        }
      })()
      expect(error).toMatchObject({ code: 'invalid', message: expect.not.stringContaining('hidden') })
    }
  })
})

test.each([
  ['claude', 'https://api.anthropic.com', { type: 'url', url: 'https://example.org/a.png' }],
  ['openai', 'https://api.openai.com', { url: 'https://example.org/a.png' }],
] as const)(
  'the official servers of %s are sent the address of an image, which they fetch from outside',
  async (kind, host, image) => {
    const server = await startCloudServer(streams(kinds[kind].hello))
    const egress = egressOf((input, init) => fetch(String(input).replace(host, server.url), init))
    const { provider } = createCloudWorld(kind, [host], { egress })
    const images = ['https://example.org/a.png']
    await collect(provider.generate(ask({ prompt: { type: 'chat', messages: [{ role: 'user', content: 'x', images }] } }), never))
    expect(JSON.stringify(server.requests[0]?.body)).toContain(JSON.stringify(image))
    await server.close()
  },
)
