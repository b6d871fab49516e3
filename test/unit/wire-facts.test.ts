import { readdir, readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { GenerateEvent, GenerateRequest } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { readEventStream } from '../../src/read-event-stream.ts'
import { calling, saying } from '../answer-scripts.ts'
import { startAnswering } from '../answering-server.ts'
import { anthropicClient, calls, ends, hello, postMessages, says, streamMessages, thinks } from '../anthropic-client.ts'
import { linesOf, ollamaClient, postApi } from '../ollama-client.ts'
import { openaiClient, postV1, streamV1 } from '../openai-client.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { bodyOf, startServer } from '../server.ts'

// What clients rely on, fact by fact: of this service on the wire, and of the official clients, from which the rest follows.

const model = 'scripted'
const messages = [{ role: 'user' as const, content: 'x' }]
const serve = (answer: (request: GenerateRequest) => Iterable<GenerateEvent>, settings: Record<string, string> = {}) =>
  startServer({ host: createScriptedHost(answer), settings })

async function readAll<T>(stream: Promise<AsyncIterable<T>>): Promise<T[]> {
  const read: T[] = []
  for await (const one of await stream) read.push(one)
  return read
}

function* failing(...events: readonly GenerateEvent[]): Generator<GenerateEvent> {
  yield* events
  throw new AppError('unavailable', 'The engine died.')
}

describe('OpenAI’s chat stream', () => {
  test('has one id, time and model in all chunks, and in each choice no more than clients know', async () => {
    await using server = await serve(() => [...saying('a').slice(0, 1), ...calling(['call_1', 'f', '{"a":1}'])])
    const tools = [{ type: 'function', function: { name: 'f' } }]
    const { chunks } = await streamV1(server, '/chat/completions', { messages, tools })
    const [{ id, created } = { id: '', created: 0 }] = chunks
    expect(Math.abs(created - Date.now() / 1000)).toBeLessThan(60)
    for (const chunk of chunks) {
      const head = { id, created, object: 'chat.completion.chunk', model, choices: expect.any(Array) }
      const isLast = chunk.choices.some(({ finish_reason: reason }) => reason !== null)
      expect(chunk).toEqual(isLast ? { ...head, metadata: { prediction_id: id.replace('chatcmpl-', '') } } : head)
      for (const { delta, ...choice } of chunk.choices) {
        expect(Object.keys(choice).filter((name) => !['index', 'finish_reason', 'logprobs'].includes(name))).toEqual([])
        const known = ['role', 'content', 'refusal', 'tool_calls']
        expect(Object.keys(delta ?? {}).filter((name) => !known.includes(name))).toEqual([])
      }
    }
  })

  test.each([
    ['stop', 'stop'],
    ['length', 'length'],
    ['tool-calls', 'tool_calls'],
    ['content-filter', 'content_filter'],
  ] as const)('has null as finish_reason, and at last for %s %s', async (reason, expected) => {
    await using server = await serve(() => [...says('a', 'b'), ...ends(reason)])
    const { chunks } = await streamV1(server, '/chat/completions', { messages })
    const reasons = chunks.flatMap(({ choices }) => choices).map(({ finish_reason: one }) => one)
    expect(reasons).toEqual([...reasons.slice(1).map(() => null), expected])
  })

  test('with include_usage has null as usage, then one chunk of it alone before [DONE]; none where it is interrupted', async () => {
    await using server = await serve(() => saying('a', 'b'))
    const body = { messages, stream_options: { include_usage: true } }
    const { chunks, events } = await streamV1(server, '/chat/completions', body)
    expect(chunks.slice(0, -1).every(({ usage, choices }) => usage === null && choices.length === 1)).toBe(true)
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 } })
    expect(events.slice(-2).map(({ data }) => data)).toEqual([expect.stringContaining('"usage"'), '[DONE]'])
    await using broken = await serve(() => failing(...says('a')))
    const cut = await streamV1(broken, '/chat/completions', body)
    expect(cut.events.some(({ data }) => data === '[DONE]' || data.includes('total_tokens'))).toBe(false)
  })

  test('is JSON in each event but [DONE], as the official client reads all others as such and throws for what is none', async () => {
    await using server = await serve(() => saying('a'))
    expect(await readAll(openaiClient(server).chat.completions.create({ model, messages, stream: true }))).toHaveLength(3)
    const headers = { 'content-type': 'text/event-stream' }
    await using raw = await startAnswering({ headers, body: 'data: [DONE\n\n' })
    const quiet = openaiClient(raw).withOptions({ logLevel: 'off' })
    await expect(readAll(quiet.chat.completions.create({ model, messages, stream: true }))).rejects.toThrow()
  })

  test('throws in the official client where an event holds an error', async () => {
    await using server = await serve(() => failing(...says('a')))
    const read = readAll(openaiClient(server).chat.completions.create({ model, messages, stream: true }))
    await expect(read).rejects.toMatchObject({ code: 'unavailable', type: 'server_error', message: 'The engine died.' })
  })
})

describe('an error', () => {
  test('of OpenAI’s has message, type, param and code, and the id that the official client reads', async () => {
    await using server = await serve(() => saying('a'))
    const response = await postV1(server, '/chat/completions', { messages, n: 0 })
    expect(await bodyOf(response)).toEqual({
      error: { message: expect.any(String), type: 'invalid_request_error', param: 'n', code: 'invalid_value' },
    })
    expect(response.headers.get('x-request-id')).toMatch(/./)
    const thrown = openaiClient(server).chat.completions.create({ model, messages, n: 0 })
    await expect(thrown).rejects.toMatchObject({ status: 400, param: 'n', requestID: expect.stringMatching(/./) })
    expect((await openaiClient(server).chat.completions.create({ model, messages }))._request_id).toMatch(/./)
  })

  const ask = {
    openai: (url: string) => openaiClient({ url }, { maxRetries: 1 }).chat.completions.create({ model, messages }),
    anthropic: (url: string) => anthropicClient({ url }, { maxRetries: 1 }).messages.create(hello),
  }
  const refusal = (status: number, headers: Record<string, string> = {}) => ({
    status,
    headers: { 'retry-after-ms': '1', ...headers },
    body: '{"error":{"message":"x","type":"y"}}',
  })

  test.each(Object.entries(ask))(
    'is tried again by %s for 408, 409, 429 and 5xx, unless x-should-retry says otherwise',
    async (_, send) => {
      const tries = async (status: number, headers?: Record<string, string>) => {
        await using raw = await startAnswering(refusal(status, headers))
        await expect(send(raw.url)).rejects.toMatchObject({ status })
        return raw.asked.length
      }
      for (const status of [408, 409, 429, 500, 503, 529]) expect([status, await tries(status)]).toEqual([status, 2])
      for (const status of [400, 401, 403, 404, 413, 422]) expect([status, await tries(status)]).toEqual([status, 1])
      expect(await tries(503, { 'x-should-retry': 'false' })).toBe(1)
      expect(await tries(400, { 'x-should-retry': 'true' })).toBe(2)
    },
  )

  test.each(Object.entries(ask))('makes %s wait for retry-after-ms, before retry-after', async (_, send) => {
    await using raw = await startAnswering(refusal(429, { 'retry-after-ms': '5', 'retry-after': '30' }))
    const start = performance.now()
    await expect(send(raw.url)).rejects.toMatchObject({ status: 429 })
    expect([raw.asked.length, performance.now() - start < 5000]).toEqual([2, true])
  })

  test('that asks for more than a minute is tried again by openai sooner, so that what lasts says not to', async () => {
    const headers = { 'retry-after-ms': '', 'retry-after': '3600' }
    await using raw = await startAnswering(refusal(429, headers))
    const start = performance.now()
    await expect(ask.openai(raw.url)).rejects.toMatchObject({ status: 429 })
    expect([raw.asked.length, performance.now() - start < 10_000]).toEqual([2, true])
    await using last = await startAnswering(refusal(429, { ...headers, 'x-should-retry': 'false' }))
    await expect(ask.openai(last.url)).rejects.toMatchObject({ status: 429 })
    expect(last.asked).toHaveLength(1)
  })
})

test('/v1/models is a list of models, with their time in seconds', async () => {
  await using server = await serve(() => saying('a'))
  const one = { id: model, object: 'model', created: expect.any(Number), owned_by: 'simpleia' }
  const list = await bodyOf<{ object: string; data: { created: number }[] }>(await fetch(`${server.url}/v1/models`))
  expect(list).toEqual({ object: 'list', data: [one] })
  expect(Math.abs((list.data[0]?.created ?? 0) - Date.now() / 1000)).toBeLessThan(60)
  expect((await openaiClient(server).models.list()).data).toEqual([one])
})

describe('/v1/embeddings', () => {
  const asked = { model: 'fake-embedder', input: ['a', 'bc'] }

  test('answers a text or a list of texts with a list of vectors and the tokens read; tokens are refused', async () => {
    await using server = await serve(() => saying('a'))
    const vector = (index: number) => ({ object: 'embedding', index, embedding: expect.any(Array) })
    for (const [input, count, tokens] of [
      ['a', 1, 1],
      [['a', 'bc'], 2, 3],
    ] as const)
      expect(await bodyOf(await postV1(server, '/embeddings', { ...asked, input }))).toEqual({
        object: 'list',
        data: Array.from({ length: count }, (_, index) => vector(index)),
        model: 'fake-embedder',
        usage: { prompt_tokens: tokens, total_tokens: tokens },
      })
    for (const input of [
      [1, 2],
      [[1], [2]],
    ])
      expect((await postV1(server, '/embeddings', { ...asked, input })).status).toBe(400)
  })

  // Older versions of the client took whatever came for base64, also a list: a service must give what it was asked for.
  test('is asked for base64 by the official client where nothing is said, and gives it', async () => {
    const body = { object: 'list', data: [], model: 'x', usage: {} }
    await using raw = await startAnswering({ body: JSON.stringify(body) })
    await openaiClient(raw).embeddings.create(asked)
    expect(JSON.parse(raw.asked[0]?.body ?? '')).toMatchObject({ encoding_format: 'base64' })
    await using server = await serve(() => saying('a'))
    const sent = await bodyOf<{ data: object[] }>(await postV1(server, '/embeddings', { ...asked, encoding_format: 'base64' }))
    expect(sent.data).toEqual([0, 1].map((index) => ({ object: 'embedding', index, embedding: expect.any(String) })))
    const floats = await openaiClient(server).embeddings.create({ ...asked, encoding_format: 'float' })
    const byDefault = await openaiClient(server).embeddings.create(asked)
    expect(byDefault.data.map(({ embedding }) => embedding)).toEqual(
      floats.data.map(({ embedding }) => embedding.map(Math.fround)),
    )
  })

  test('writes base64 as 32-bit floats with the low byte first', async () => {
    await using server = await serve(() => saying('a'))
    const of = (format: string) => postV1(server, '/embeddings', { ...asked, encoding_format: format })
    const { data: floats } = await bodyOf<{ data: { embedding: number[] }[] }>(await of('float'))
    const { data: texts } = await bodyOf<{ data: { embedding: string }[] }>(await of('base64'))
    for (const [place, { embedding }] of texts.entries()) {
      const bytes = Buffer.from(embedding, 'base64')
      const read = Array.from({ length: bytes.length / 4 }, (_, index) => bytes.readFloatLE(index * 4))
      expect(read).toEqual(floats[place]?.embedding.map(Math.fround))
    }
  })
})

describe('Anthropic’s stream', () => {
  const everything = () => [
    ...thinks('Hm.'),
    { type: 'reasoning-delta' as const, index: 0, text: '', signature: 'signed' },
    ...says('a', 'b'),
    ...calls(0, 'call_1', 'f', '{"a":', '1}'),
    ...ends('tool-calls'),
  ]
  const tools = [{ name: 'f', input_schema: { type: 'object' as const } }]

  test('begins with an empty message, opens, fills and closes one block after the other, and ends with reason and usage', async () => {
    await using server = await serve(everything)
    const events = (await streamMessages(server, { ...hello, tools })).map(({ data }) => JSON.parse(data))
    expect(events[0]).toMatchObject({ type: 'message_start', message: { content: [], stop_reason: null } })
    const blocks = events.filter(({ type }) => type.startsWith('content_block')).map(({ type, index }) => `${index} ${type}`)
    const block = (index: number, deltas: number) => [
      `${index} content_block_start`,
      ...Array.from({ length: deltas }, () => `${index} content_block_delta`),
      `${index} content_block_stop`,
    ]
    expect(blocks).toEqual([...block(0, 2), ...block(1, 2), ...block(2, 2)])
    expect(events.slice(-2)).toMatchObject([
      { type: 'message_delta', delta: { stop_reason: 'tool_use', stop_sequence: null }, usage: { output_tokens: 3 } },
      { type: 'message_stop' },
    ])
  })

  test('has deltas of four kinds, the signature just before its block ends', async () => {
    await using server = await serve(everything)
    const events = (await streamMessages(server, { ...hello, tools })).map(({ data }) => JSON.parse(data))
    const kinds = events.flatMap(({ delta }) => delta?.type ?? [])
    expect(kinds).toEqual([
      ...['thinking_delta', 'signature_delta', 'text_delta', 'text_delta', 'input_json_delta', 'input_json_delta'],
    ])
    const signed = events.findIndex(({ delta }) => delta?.type === 'signature_delta')
    expect(events[signed + 1]).toEqual({ type: 'content_block_stop', index: 0 })
    const parts = events.flatMap(({ delta }) => delta?.partial_json ?? [])
    expect(JSON.parse(parts.join(''))).toEqual({ a: 1 })
  })

  test('names each event, as the official client does not see data without a name; it skips pings anywhere', async () => {
    await using server = await serve(everything)
    for (const { event, data } of await streamMessages(server, { ...hello, tools })) expect(JSON.parse(data).type).toBe(event)
    const headers = { 'content-type': 'text/event-stream' }
    const stop = 'event: message_stop\ndata: {"type":"message_stop"}\n\n'
    const body = `event: ping\ndata: {"type":"ping"}\n\ndata: {"type":"message_delta"}\n\n${stop}`
    await using raw = await startAnswering({ headers, body })
    const seen = await readAll(anthropicClient(raw).messages.create({ ...hello, stream: true }))
    expect(seen.map(({ type }) => type)).toEqual(['message_stop'])
  })

  test('fails by an event called error, and a whole answer by the same body with a status', async () => {
    const body = { type: 'error', error: { type: 'api_error', message: 'The engine died.' }, request_id: expect.any(String) }
    await using server = await serve(() => failing(...says('a')))
    const last = (await streamMessages(server, hello)).at(-1)
    expect([last?.event, JSON.parse(last?.data ?? '')]).toEqual(['error', body])
    await using broken = await serve(() => failing())
    const response = await postMessages(broken, hello)
    expect([response.status, await response.json()]).toEqual([503, body])
  })

  test('is asked for with a key in authorization or, by older clients, in x-api-key, and any anthropic-version or none', async () => {
    await using raw = await startAnswering({ body: '{"type":"message","content":[]}' })
    await anthropicClient(raw, { apiKey: 'key' }).messages.create(hello)
    const sent = raw.asked[0]
    expect([sent?.path, sent?.headers.authorization]).toEqual(['/v1/messages', 'Bearer key'])
    expect(sent?.headers['anthropic-version']).toMatch(/^\d{4}-\d\d-\d\d$/)
    await using server = await serve(everything, { ALLOW_ANONYMOUS: 'false' })
    const token = await server.login('ana')
    await anthropicClient(server, { apiKey: token }).messages.create(hello)
    const older = { 'x-api-key': token, 'anthropic-version': '2023-06-01' }
    for (const headers of [older, { 'x-api-key': token }]) expect((await postMessages(server, hello, headers)).status).toBe(200)
  })
})

describe('Ollama’s answers', () => {
  test('are lines of JSON unless stream is false', async () => {
    await using server = await serve(() => saying('a', 'b'))
    const streamed = await postApi(server, '/generate', { model, prompt: 'x' })
    expect(streamed.headers.get('content-type')).toBe('application/x-ndjson')
    const [first, , last] = await linesOf(streamed)
    const head = { model, created_at: expect.stringMatching(/^\d{4}-\d\d-\d\dT.*Z$/) }
    expect(first).toEqual({ ...head, response: 'a', done: false })
    expect(last).toMatchObject({ ...head, response: '', done: true })
    const whole = await postApi(server, '/generate', { model, prompt: 'x', stream: false })
    expect(whole.headers.get('content-type')).toMatch(/^application\/json/)
    expect(await whole.json()).toMatchObject({ ...head, response: 'ab', done: true })
  })

  test('of a chat have a message, and calls with their arguments as an object', async () => {
    await using server = await serve(() => calling(['call_1', 'f', '{"a":1}']))
    const tools = [{ type: 'function', function: { name: 'f', parameters: {} } }]
    const lines = await linesOf(await postApi(server, '/chat', { model, messages, tools }))
    expect(lines.every(({ message }) => message?.role === 'assistant' && typeof message.content === 'string')).toBe(true)
    const called = lines.flatMap(({ message }) => message?.tool_calls ?? [])
    expect(called).toMatchObject([{ function: { name: 'f', arguments: { a: 1 } } }])
  })

  test('end with why, and with whole nanoseconds and tokens', async () => {
    await using server = await serve(() => saying('a'))
    const last = (await linesOf(await postApi(server, '/chat', { model, messages }))).at(-1)
    const whole = expect.toSatisfy(Number.isSafeInteger)
    expect(last).toMatchObject({
      ...{ done: true, done_reason: 'stop', total_duration: whole, load_duration: whole, prompt_eval_count: 7 },
      ...{ prompt_eval_duration: whole, eval_count: 3, eval_duration: whole },
    })
  })

  test('fail by a text, in a stream as a line that leaves the status as it was', async () => {
    await using server = await serve(() => failing(...says('a')))
    const broken = await postApi(server, '/chat', { model, messages })
    expect([broken.status, (await linesOf(broken)).at(-1)]).toEqual([200, { error: 'The engine died.' }])
    const wrong = await postApi(server, '/chat', { model: 'other', messages })
    expect([wrong.status, await wrong.json()]).toEqual([404, { error: expect.any(String) }])
    await expect(readAll(ollamaClient(server).chat({ model, messages, stream: true }))).rejects.toThrow('The engine died.')
  })

  test('say that a model was unloaded by an empty chat with keep_alive 0', async () => {
    await using server = await serve(() => saying('a'))
    const authorization = `Bearer ${await server.login('root')}`
    const response = await postApi(server, '/chat', { model, messages: [], keep_alive: 0, stream: false }, { authorization })
    expect(await response.json()).toMatchObject({
      done: true,
      done_reason: 'unload',
      message: { role: 'assistant', content: '' },
    })
  })

  test('of /api/embed are lists of vectors, for one text too', async () => {
    await using server = await serve(() => saying('a'))
    const { embeddings } = await ollamaClient(server).embed({ model: 'fake-embedder', input: 'a' })
    expect(embeddings).toEqual([[expect.any(Number), expect.any(Number), expect.any(Number)]])
  })
})

describe('limits', () => {
  test('are told in each dialect’s words, and past them retry-after in whole seconds', async () => {
    await using server = await serve(() => saying('a'), { RATE_LIMIT_REQUESTS: '2' })
    const first = await postV1(server, '/chat/completions', { messages })
    const told = (name: string) => first.headers.get(`x-ratelimit-${name}-requests`)
    expect([told('limit'), told('remaining')]).toEqual(['2', '1'])
    expect(told('reset')).toMatch(/^(\d+h)?(\d+m)?\d+s$/)
    const { headers } = await postMessages(server, hello)
    const anthropic = (name: string) => headers.get(`anthropic-ratelimit-requests-${name}`)
    expect([anthropic('limit'), anthropic('remaining')]).toEqual(['2', '0'])
    expect(anthropic('reset')).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/)
    for (const past of [await postV1(server, '/chat/completions', { messages }), await postMessages(server, hello)])
      expect([past.status, past.headers.get('retry-after')]).toEqual([429, expect.stringMatching(/^[1-9]\d*$/)])
  })
})

describe('server-sent events', () => {
  const read = async (...pieces: string[]) => {
    async function* body() {
      yield* pieces.map((piece) => new TextEncoder().encode(piece))
    }
    return readAll(Promise.resolve(readEventStream(body())))
  }
  const message = (data: string) => ({ event: 'message', data })

  test.each<readonly [fact: string, text: string, events: object[]]>([
    ['lines end with CR LF', 'data: a\r\ndata: b\r\n\r\n', [message('a\nb')]],
    ['lines end with LF', 'data: a\ndata: b\n\n', [message('a\nb')]],
    ['lines end with CR alone', 'data: a\rdata: b\r\rdata: c\r\r.', [message('a\nb'), message('c')]],
    [
      'one space after the colon is dropped, and no more',
      'data:a\n\ndata: b\n\ndata:  c\n\n',
      [message('a'), message('b'), message(' c')],
    ],
    ['an empty line sends, and without data nothing is sent', 'event: x\n\n\n\ndata: a\n\n', [message('a')]],
    ['lines with a colon at the start are comments', ': ping\n\ndata: a\n: in between\n\n', [message('a')]],
    ['what is not finished at the end is dropped', 'data: a\n\ndata: b\n', [message('a')]],
    ['names are told apart by case', 'Data: x\nDATA: y\nEvent: z\ndata: a\n\n', [message('a')]],
  ])('%s', async (_, text, events) => {
    expect(await read(text)).toEqual(events)
    expect(await read(...text)).toEqual(events)
  })

  test('hold a text with line breaks of any kind as lines of data, or as JSON', async () => {
    const text = 'a\r\nb\rc\nd'
    await using server = await serve(() => saying(text))
    expect((await server.stream({ prompt: 'x' })).text).toBe('a\nb\nc\nd')
    const { events, chunks } = await streamV1(server, '/chat/completions', { messages })
    expect(chunks.map(({ choices }) => choices[0]?.delta?.content ?? '').join('')).toBe(text)
    expect(events.some(({ data }) => /[\r\n]/.test(data))).toBe(false)
  })

  test('that are asked for by POST are not read by EventSource, which cannot', async () => {
    const scripts = (await readdir('web', { recursive: true })).filter((name) => /\.(ts|svelte)$/.test(name))
    expect(scripts.length).toBeGreaterThan(5)
    for (const name of scripts) expect(await readFile(`web/${name}`, 'utf8'), name).not.toMatch(/new EventSource/)
  })
})

test('llama-server, whose own port changes with its versions, is always started with one', async () => {
  const started: string[] = []
  for (const name of await readdir('bench', { recursive: true })) {
    const text = name.endsWith('.ts') ? await readFile(`bench/${name}`, 'utf8') : ''
    if (!/llama-server/.test(text) || !/spawn\(/.test(text)) continue
    started.push(name)
    expect(text, name).toContain("'--port'")
  }
  expect(started.length).toBeGreaterThan(0)
})
