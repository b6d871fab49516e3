import { describe, expect, test } from 'vitest'
import { createFakeEngine, type Script } from '../fake-engine.ts'
import { bodyOf, joinTokens, startServer } from '../server.ts'

const scripted = (script: Script) => startServer({ host: createFakeEngine({ answer: () => script }) })

/** The same question by all three ways. */
async function askAllWays(script: Script, body: Readonly<Record<string, unknown>> = {}) {
  await using server = await scripted(script)
  const question = { prompt: 'x', temperature: 0, ...body }
  const whole = await bodyOf(await server.predict(question))
  const { text: streamed, end } = await server.stream(question)
  using socket = await server.socket()
  socket.send(question)
  const messages = await socket.answer()
  return {
    json: { text: whole.choices[0]?.text, reason: whole.choices[0]?.finish_reason },
    sse: { text: streamed, reason: JSON.parse(end?.data ?? '{}').finish_reason },
    ws: { text: joinTokens(messages), reason: messages.at(-1)?.finish_reason },
    messages,
    done: JSON.parse(end?.data ?? '{}'),
    whole,
  }
}

describe('characters cut over tokens', () => {
  const pieces = [[0xf0, 0x9f], [0x98, 0x80], [0xc3], [0xa9], [0xe4, 0xbd], [0xa0]].map((bytes) => Uint8Array.from(bytes))

  test('arrive whole on each way', async () => {
    const { json, sse, ws } = await askAllWays({ pieces })
    expect([json.text, sse.text, ws.text]).toEqual(['😀é你', '😀é你', '😀é你'])
  })

  test.each([1, 3, 5])('are dropped the same way when the answer ends inside one, after %i tokens', async (maxLength) => {
    const { json, sse, ws } = await askAllWays({ pieces }, { max_length: maxLength })
    const expected = { text: ['', '😀', '😀é'][(maxLength - 1) / 2], reason: 'length' }
    expect([json, sse, ws]).toEqual([expected, expected, expected])
  })
})

test('line breaks and leading spaces inside tokens survive', async () => {
  const table = '| n | m |\n|:-|-:|\n\n```\nq = 1\r\nr = 2\n```'
  const { json, sse, ws } = await askAllWays({ pieces: [table, ' leading', '\n', 'cut\r', '\nhere'] })
  const text = `${table} leading\ncut\r\nhere`
  expect(json.text).toBe(text)
  expect(ws.text).toBe(text)
  expect(sse.text).toBe(text.replaceAll('\r\n', '\n'))
})

test('a stream ends with what the whole answer says', async () => {
  const { whole, done, messages } = await askAllWays({ pieces: ['a', 'b'] })
  const { id, timings, ...rest } = done
  expect(id).toMatch(/^[0-9a-f-]{36}$/)
  expect(timings).toHaveProperty('tokens_per_second')
  const origin = { ran_on: 'local', why: 'default' }
  expect(rest).toEqual({ model: whole.model, provider: 'hf', finish_reason: 'stop', usage: rest.usage, ...origin })
  expect(rest.usage.completion_tokens).toBe(whole.usage.completion_tokens)
  expect(messages.at(-1)).toMatchObject({ type: 'done', ...rest, usage: { completion_tokens: 2 } })
})

describe('stop texts', () => {
  test.each([
    [['MON', 'TA', 'GNE'], ['MONTAGNE'], ''],
    [['uno dos tr', 'es', ' cuatro'], ['es cua'], 'uno dos tr'],
    [['son bo'], ['bonjour'], 'son bo'],
    [['abc', 'def'], ['cdef', 'bc'], 'a'],
  ])('%j with %j is "%s" on each way', async (pieces, stop, text) => {
    const { json, sse, ws } = await askAllWays({ pieces }, { stop })
    expect([json, sse, ws]).toEqual(Array(3).fill({ text, reason: 'stop' }))
  })
})

describe('the end of an answer', () => {
  test('comes at the end of the context window for a model that never stops', async () => {
    await using server = await startServer({
      host: createFakeEngine({ answer: () => ({ pieces: ['a '], end: false }), contextSize: 512 }),
    })
    const answer = await bodyOf(await server.predict({ prompt: 'x', max_length: 1_000_000 }))
    expect(answer.choices[0]?.finish_reason).toBe('length')
    expect(answer.usage.completion_tokens).toBeLessThanOrEqual(512)
  })

  test('comes after 512 tokens where the request does not say', async () => {
    await using server = await scripted({ pieces: ['a '], end: false })
    const answer = await bodyOf(await server.predict({ prompt: 'x' }))
    expect([answer.usage.completion_tokens, answer.choices[0]?.finish_reason]).toEqual([512, 'length'])
  })
})

test('a prompt longer than the context is refused with both numbers on each way, not cut', async () => {
  await using server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['a'] }), contextSize: 512 }) })
  const prompt = 'word '.repeat(5000)
  const whole = await server.predict({ prompt })
  const stream = await server.predict({ prompt, stream: true })
  using socket = await server.socket()
  socket.send({ prompt })
  const [message] = await socket.answer()
  const { error } = await bodyOf(whole)
  expect([whole.status, stream.status, error.code]).toEqual([400, 400, 'context_length_exceeded'])
  expect(error.message).toMatch(/\d.*512/)
  expect((await bodyOf(stream)).error).toEqual(error)
  expect(message).toEqual({ type: 'error', error })
})

describe('a failure of the engine', () => {
  test('after the first token is one error event, then the end, and counted as a failure', async () => {
    await using server = await scripted({ pieces: ['a', 'b', 'c', 'd', 'e', 'f'], failAfter: 5 })
    const response = await server.predict({ prompt: 'x', stream: true })
    const body = await response.text()
    expect(body.match(/event: /g)).toEqual(['event: '])
    expect(body).toMatch(/event: error\ndata: \{"error":\{"code":"\w+","message":"[^"]+".*\}\}\n\n$/)
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toMatch(/simpleia_http_requests_total\{method="POST",route="\/predict",status="503"\} 1/)
    expect(metrics).not.toMatch(/route="\/predict",status="200"/)
    expect(metrics).toMatch(/simpleia_errors_total\{code="unavailable"\} 1/)
  })

  test('on a WebSocket is an error message, then the close code 1011', async () => {
    await using server = await scripted({ pieces: ['a', 'b', 'c', 'd', 'e', 'f'], failAfter: 5 })
    const socket = await server.socket()
    socket.send({ prompt: 'x', request_id: 'one' })
    const messages = await socket.answer()
    expect(messages.map(({ type }) => type)).toEqual([...Array(5).fill('token'), 'error'])
    expect(messages.at(-1)).toMatchObject({ request_id: 'one', error: { code: 'unavailable' } })
    expect(await socket.closed).toBe(1011)
  })

  test('before the first byte is an ordinary answer', async () => {
    await using server = await scripted({ pieces: ['a'], failAfter: 0 })
    const response = await server.predict({ prompt: 'x', stream: true })
    expect([response.status, response.headers.get('content-type')]).toEqual([503, 'application/json; charset=utf-8'])
    expect(response.headers.get('retry-after')).toMatch(/^[1-9]\d*$/)
  })
})

test('several answers cannot be streamed over SSE, but over a WebSocket by their index', async () => {
  await using server = await scripted({ pieces: ['a', 'b'] })
  const response = await server.predict({ prompt: 'x', stream: true, num_return_sequences: 2 })
  expect(response.status).toBe(400)
  expect((await bodyOf(response)).error.details?.[0]?.field).toBe('num_return_sequences')
  using socket = await server.socket()
  socket.send({ prompt: 'x', num_return_sequences: 2 })
  const messages = await socket.answer()
  for (const index of [0, 1]) expect(joinTokens(messages.filter((message) => message.index === index))).toBe('ab')
  expect(messages.at(-1)?.choices).toEqual([0, 1].map((index) => ({ index, finish_reason: 'stop' })))
})

test('a stream says that nobody may keep, collect or compress it', async () => {
  await using server = await scripted({ pieces: ['a'] })
  const response = await server.predict({ prompt: 'x', stream: true }, { 'accept-encoding': 'gzip, br' })
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  expect(response.headers.get('cache-control')).toMatch(/^no-cache/)
  expect(response.headers.get('x-accel-buffering')).toBe('no')
  expect(response.headers.get('content-encoding')).toBeNull()
  expect(response.headers.get('x-content-type-options')).toBe('nosniff')
  expect(response.headers.get('ratelimit-limit')).toBe('100000')
  await response.text()
})
