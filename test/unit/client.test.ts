import { expect, onTestFinished, test } from 'vitest'
import { livingBodyOf } from '../../src/client/transport.ts'
import { type Client, createClient } from '../../src/client.ts'
import { readEventStream, type ServerSentEvent } from '../../src/read-event-stream.ts'
import { startServer } from '../server.ts'
import { scriptedHost } from './cli-world.ts'

async function serve(pieces: Iterable<string>) {
  const server = await startServer({ host: scriptedHost(pieces).host })
  onTestFinished(() => server[Symbol.asyncDispose]())
  return createClient({ baseUrl: server.url })
}

async function collect<T>(events: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = []
  for await (const event of events) all.push(event)
  return all
}

/** Answers that a server might send, without a server. */
function answering(...answers: Array<() => Response>) {
  return createClient({
    baseUrl: 'http://service',
    fetch: async () => answers.shift()?.() ?? expect.unreachable('one call too many'),
  })
}

test('a whole answer and a streamed one hold the same text', async () => {
  const client = await serve(['La capital', ' es\n', 'Madrid 😀'])
  const { choices, ran_on } = await client.predict({ prompt: '?', temperature: 0 })
  const events = await collect(client.predictStream({ prompt: '?', temperature: 0 }))
  expect(events.map((event) => (event.type === 'text' ? event.text : '')).join('')).toBe(choices[0]?.text)
  expect(events.at(-1)).toMatchObject({ type: 'done', finish_reason: 'stop', ran_on, usage: { completion_tokens: 3 } })
})

test('a chat is streamed with its number of tokens', async () => {
  const client = await serve(['Hola', '!'])
  const events = await collect(client.chatStream({ messages: [{ role: 'user', content: 'Hi' }] }))
  const id = expect.stringMatching(/^chatcmpl-/)
  expect(events).toEqual([
    { type: 'text', id, text: 'Hola' },
    { type: 'text', id, text: '!' },
    { type: 'done', id, finishReason: 'stop', completionTokens: 2 },
  ])
})

test('the code of a refusal is that of the service, in its own shape and in that of OpenAI', async () => {
  const client = await serve(['x'])
  await expect(client.listUsers()).rejects.toMatchObject({ code: 'unauthorized' })
  await expect(client.predict({ prompt: 'x', temperature: 99 })).rejects.toMatchObject({
    code: 'invalid',
    details: [{ field: 'temperature' }],
  })
  await expect(collect(client.chatStream({ messages: [], temperature: 99 }))).rejects.toMatchObject({ code: 'invalid' })
})

test('a stop ends the stream as aborted', async () => {
  const stop = new AbortController()
  const client = await serve(Array(100_000).fill('x'))
  const reading = collect(
    (async function* () {
      for await (const event of client.predictStream({ prompt: '?' }, stop.signal)) {
        stop.abort()
        yield event
      }
    })(),
  )
  await expect(reading).rejects.toMatchObject({ code: 'aborted' })
})

test('a stream that ends without its end, or with an error event, is an error', async () => {
  const cut = () => new Response('data: half\n\n')
  const failed = () => new Response('data: half\n\nevent: error\ndata: {"error":{"code":"busy","message":"Full."}}\n\n')
  const client = answering(cut, failed, cut)
  await expect(collect(client.predictStream({ prompt: '?' }))).rejects.toMatchObject({ code: 'unavailable' })
  await expect(collect(client.predictStream({ prompt: '?' }))).rejects.toMatchObject({ code: 'busy', message: 'Full.' })
})

const streams: Readonly<Record<string, (client: Client) => AsyncIterable<unknown>>> = {
  predictStream: (client) => client.predictStream({ prompt: '?' }),
  chatStream: (client) => client.chatStream({ messages: [] }),
  followAnswer: (client) => client.followAnswer('1', '2'),
  addDocument: (client) => client.addDocument({ name: 'a.txt', text: 'x' }),
  askDocumentsStream: (client) => client.askDocumentsStream({ question: '?' }),
  quantizeModel: (client) => client.quantizeModel({ model: 'a', quantization: 'Q4_K_M' }),
  mergeModel: (client) => client.mergeModel({ model: 'a+b' }),
  pull: (client) => client.pull('a/b'),
  watchTraining: (client) => client.watchTraining('1'),
  watchEvaluation: (client) => client.watchEvaluation('1'),
}

test.each(Object.entries(streams))('%s fails where its stream ends too early, and as the service says', async (name, open) => {
  const client = answering(
    () => new Response(': nothing yet\n\n'),
    () => new Response('event: error\ndata: {"error":{"code":"busy","message":"Full."}}\n\n'),
    () => new Response('event: error\ndata: nothing that can be read\n\n'),
  )
  await expect(collect(open(client))).rejects.toMatchObject({ code: 'unavailable' })
  await expect(collect(open(client))).rejects.toMatchObject({ code: 'busy', message: 'Full.' })
  if (name !== 'chatStream') await expect(collect(open(client))).rejects.toMatchObject({ code: 'internal' })
})

test('what is told of a training run comes in its order, and what this version does not know is left out', async () => {
  const events = [
    ['run', { id: '1' }],
    ['step', { step: 1 }],
    ['epoch', { epoch: 1 }],
    ['a-later-thing', {}],
    ['resume', { step: 1 }],
    ['done', { id: '1' }],
  ] as const
  const text = events.map(([event, data]) => `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`).join('')
  expect(await collect(answering(() => new Response(`${text}event: step\ndata: {}\n\n`)).watchTraining('1'))).toEqual([
    { type: 'run', run: { id: '1' } },
    { type: 'step', step: { step: 1 } },
    { type: 'epoch', epoch: { epoch: 1 } },
    { type: 'resume', step: 1 },
    { type: 'done', run: { id: '1' } },
  ])
})

test('a request that is stopped before its answer, or in it, is told as stopped', async () => {
  const stop = new AbortController()
  const client = createClient({
    baseUrl: 'http://service',
    fetch: async () => {
      stop.abort()
      throw new DOMException('This operation was aborted', 'AbortError')
    },
  })
  await expect(client.models(stop.signal)).rejects.toMatchObject({ code: 'aborted' })
  const body = new ReadableStream({ start: (controller) => controller.error(new DOMException('aborted', 'AbortError')) })
  await expect(answering(() => new Response(body)).models(stop.signal)).rejects.toMatchObject({ code: 'aborted' })
})

test('an account is looked at and its password changed, and the old one opens nothing', async () => {
  const server = await startServer({ host: scriptedHost(['x']).host })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const anybody = createClient({ baseUrl: server.url })
  expect(await anybody.authState()).toMatchObject({ has_users: false, registration_open: true })
  const ana = createClient({ baseUrl: server.url, token: await server.login('ana') })
  expect(await ana.ready()).toMatchObject({ status: 'ready' })
  expect(await ana.usage()).toMatchObject({ user: { requests: 0 } })
  await ana.changePassword('ana-has-a-long-password', 'another-long-password')
  await expect(ana.me()).rejects.toMatchObject({ code: 'unauthorized' })
  await expect(anybody.login('ana', 'ana-has-a-long-password')).rejects.toMatchObject({ code: 'unauthorized' })
  expect(await anybody.login('ana', 'another-long-password')).toMatchObject({ token_type: 'bearer' })
})

test('who is logged in twice sees both logins, and ends one, or all but the one that asks', async () => {
  const server = await startServer({ host: scriptedHost(['x']).host })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const [one, other, third] = [await server.login('ana'), await server.login('ana'), await server.login('ana')].map((token) =>
    createClient({ baseUrl: server.url, token }),
  )
  if (one === undefined || other === undefined || third === undefined) return expect.unreachable()
  const ofOther = (await other.sessions()).sessions.find(({ current }) => current)
  await one.endSession(ofOther?.id ?? '')
  await expect(other.me()).rejects.toMatchObject({ code: 'unauthorized' })
  expect(await third.me()).toMatchObject({ username: 'ana' })
  await one.endOtherSessions()
  await expect(third.me()).rejects.toMatchObject({ code: 'unauthorized' })
  expect((await one.sessions()).sessions).toMatchObject([{ current: true }])
})

test('an answer of something in between is told by its status', async () => {
  const client = answering(
    () => new Response('<html>', { status: 502 }),
    () => new Response('', { status: 429 }),
    () => new Response('', { status: 504 }),
  )
  await expect(client.model()).rejects.toMatchObject({ code: 'upstream', message: 'The service answered 502.' })
  await expect(client.model()).rejects.toMatchObject({ code: 'rate_limited' })
  await expect(client.model()).rejects.toMatchObject({ code: 'upstream' })
})

test('an answer that breaks off in its middle is told as the connection that it was', async () => {
  const cut = () => {
    const body = new ReadableStream({
      start(controller) {
        controller.enqueue(Buffer.from('{"model_name":'))
        controller.error(new TypeError('network error'))
      },
    })
    return new Response(body)
  }
  const broken = { code: 'unavailable', cause: expect.any(TypeError) }
  await expect(answering(cut).model()).rejects.toMatchObject(broken)
})

test('a stream that is silent for longer than it ever is has lost its connection, and is let go', async () => {
  let isCancelled = false
  const body = new ReadableStream({
    start: (controller) => controller.enqueue(Buffer.from('here')),
    cancel() {
      isCancelled = true
    },
  })
  const pieces: string[] = []
  const reading = (async () => {
    for await (const piece of livingBodyOf(new Response(body), undefined, 20)) pieces.push(Buffer.from(piece).toString())
  })()
  await expect(reading).rejects.toMatchObject({ code: 'unavailable' })
  expect(pieces).toEqual(['here'])
  expect(isCancelled).toBe(true)
})

test('without a service the error says where none answers', async () => {
  await expect(createClient({ baseUrl: 'http://127.0.0.1:9' }).health()).rejects.toMatchObject({
    code: 'unavailable',
    message: 'No service answers at http://127.0.0.1:9.',
  })
})

async function parse(...chunks: string[]): Promise<ServerSentEvent[]> {
  const bytes = chunks.map((chunk) => Buffer.from(chunk, 'latin1'))
  return collect(
    readEventStream(
      (async function* () {
        yield* bytes
      })(),
    ),
  )
}

test('events are read with every line ending, wherever the network cuts them', async () => {
  const text = 'event: a\r\ndata: 1\r\n\r\n: comment\ndata:2\ndata:  3\n\nid: x\rdata\r\rdata: open'
  const events = [
    { event: 'a', data: '1' },
    { event: 'message', data: '2\n 3' },
    { event: 'message', data: '' },
  ]
  expect(await parse(text)).toEqual(events)
  expect(await parse(...text)).toEqual(events)
})

test('a character that is cut over two chunks arrives whole', async () => {
  expect(await parse('data: \xf0\x9f', '\x98\x80\n\n')).toEqual([{ event: 'message', data: '😀' }])
})

test('a long line that comes byte by byte takes no longer than its length', async () => {
  const long = 'x'.repeat(300_000)
  const bytes = Buffer.from(`data: ${long}\r\n\r\n`)
  const begun = performance.now()
  const one = async function* () {
    for (const byte of bytes) yield Uint8Array.of(byte)
  }
  expect(await collect(readEventStream(one()))).toEqual([{ event: 'message', data: long }])
  expect(performance.now() - begun).toBeLessThan(10_000)
})
