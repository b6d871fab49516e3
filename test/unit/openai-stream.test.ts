import { describe, expect, test } from 'vitest'
import { createFakeEngine, type Script } from '../fake-engine.ts'
import { openaiClient, postV1, streamV1, textOf } from '../openai-client.ts'
import { bodyOf, startServer } from '../server.ts'

const scripted = (script: Script) => startServer({ host: createFakeEngine({ answer: () => script }) })
const messages = [{ role: 'user' as const, content: 'Hola' }]
const twenty: Script = { pieces: Array.from({ length: 20 }, (_, index) => `t${index} `) }
const twentyText = twenty.pieces.join('')

/** The same question as a stream and as a whole, on both endpoints. */
async function askAllWays(script: Script, body: object = {}) {
  await using server = await scripted(script)
  const chat = await bodyOf<{ choices: { message: { content: string }; finish_reason: string }[] }>(
    await postV1(server, '/chat/completions', { messages, ...body }),
  )
  const completion = await bodyOf<{ choices: { text: string; finish_reason: string }[] }>(
    await postV1(server, '/completions', { prompt: 'x', max_tokens: 100, ...body }),
  )
  const { chunks: chatChunks } = await streamV1(server, '/chat/completions', { messages, ...body })
  const { chunks: completionChunks } = await streamV1(server, '/completions', { prompt: 'x', max_tokens: 100, ...body })
  return [
    { text: chat.choices[0]?.message.content, reason: chat.choices[0]?.finish_reason },
    { text: completion.choices[0]?.text, reason: completion.choices[0]?.finish_reason },
    { text: textOf(chatChunks), reason: chatChunks.at(-1)?.choices[0]?.finish_reason },
    { text: textOf(completionChunks), reason: completionChunks.at(-1)?.choices[0]?.finish_reason },
  ]
}

describe('the official client', () => {
  test('reads a stream of chat chunks to its reason', async () => {
    await using server = await scripted(twenty)
    const stream = await openaiClient(server).chat.completions.create({ model: 'fake', messages, stream: true })
    let text = ''
    const reasons: unknown[] = []
    const heads = new Set<string>()
    for await (const { id, created, model, object, choices } of stream) {
      heads.add(JSON.stringify([id, created, model, object]))
      text += choices[0]?.delta.content ?? ''
      reasons.push(choices[0]?.finish_reason)
    }
    expect(text).toBe(twentyText)
    expect(reasons.slice(0, -1).every((reason) => reason === null)).toBe(true)
    expect(reasons.at(-1)).toBe('stop')
    expect(heads.size).toBe(1)
  })

  test('gathers a stream with its helper', async () => {
    await using server = await scripted(twenty)
    const completion = await openaiClient(server).chat.completions.stream({ model: 'fake', messages, n: 2 }).finalChatCompletion()
    expect(completion.choices.map(({ message, finish_reason }) => [message.role, message.content, finish_reason])).toEqual([
      ['assistant', twentyText, 'stop'],
      ['assistant', twentyText, 'stop'],
    ])
  })

  test('gets a whole answer, and a text continued', async () => {
    await using server = await scripted(twenty)
    const client = openaiClient(server)
    const { choices, usage, ...head } = await client.chat.completions.create({ model: 'fake', messages, max_tokens: 3 })
    expect(choices).toEqual([
      { index: 0, message: { role: 'assistant', content: 't0 t1 t2 ', refusal: null }, logprobs: null, finish_reason: 'length' },
    ])
    expect(usage).toMatchObject({ completion_tokens: 3, total_tokens: (usage?.prompt_tokens ?? 0) + 3 })
    expect(head).toEqual({
      id: expect.stringMatching(/^chatcmpl-./),
      object: 'chat.completion',
      created: expect.any(Number),
      model: 'fake',
      metadata: { prediction_id: String(head.id).replace('chatcmpl-', '') },
    })
    const continued = await client.completions.create({ model: 'fake', prompt: 'x' })
    expect(continued).toMatchObject({
      object: 'text_completion',
      choices: [{ text: twenty.pieces.slice(0, 16).join(''), finish_reason: 'length' }],
    })
    const streamed = await client.completions.create({ model: 'fake', prompt: 'x', stream: true, max_tokens: 50 })
    let text = ''
    for await (const chunk of streamed) text += chunk.choices[0]?.text
    expect(text).toBe(twentyText)
  })

  test('lists the models and describes one', async () => {
    await using server = await scripted(twenty)
    const client = openaiClient(server)
    const { data } = await client.models.list()
    expect(data).toEqual([{ id: 'fake', object: 'model', created: expect.any(Number), owned_by: 'simpleia' }])
    expect(await client.models.retrieve('fake')).toMatchObject({ id: 'fake' })
    await expect(client.models.retrieve('a/b')).rejects.toMatchObject({ status: 404, code: 'model_not_found', param: 'model' })
  })

  test('stops a stream, which frees the model', async () => {
    await using server = await startServer({
      host: createFakeEngine({ answer: () => ({ pieces: ['x'], end: false }), pauseMs: 1, contextSize: 1_000_000 }),
    })
    const stream = await openaiClient(server).chat.completions.create({ model: 'fake', messages, stream: true })
    let count = 0
    for await (const _ of stream) if (++count === 3) break
    await expect.poll(async () => (await fetch(`${server.url}/metrics`)).text(), { timeout: 1000 }).toMatch(/active\w* 0$/m)
  })
})

describe('a chat stream', () => {
  test('names the role once, the reason once, and ends with [DONE]', async () => {
    await using server = await scripted(twenty)
    const { events, chunks } = await streamV1(server, '/chat/completions', { messages })
    const choices = chunks.flatMap((chunk) => chunk.choices)
    expect(choices.map(({ delta }) => delta?.role).filter((role) => role !== undefined)).toEqual(['assistant'])
    expect(choices[0]?.delta).toMatchObject({ role: 'assistant', content: '' })
    expect(choices.filter(({ finish_reason }) => finish_reason !== null)).toEqual([choices.at(-1)])
    expect(choices.at(-1)?.delta).toEqual({})
    expect(events.filter(({ data }) => data === '[DONE]')).toEqual([events.at(-1)])
    expect(events.every(({ event }) => event === 'message')).toBe(true)
    expect(textOf(chunks)).toBe(twentyText)
  })

  test('of several choices tells them apart by index', async () => {
    await using server = await scripted(twenty)
    const { chunks } = await streamV1(server, '/chat/completions', { messages, n: 3 })
    for (const index of [0, 1, 2]) {
      const own = chunks.flatMap(({ choices }) => choices).filter((choice) => choice.index === index)
      expect(textOf(chunks, index)).toBe(twentyText)
      expect(own.filter(({ delta }) => delta?.role !== undefined)).toEqual([own[0]])
      expect(own.filter(({ finish_reason }) => finish_reason !== null)).toEqual([own.at(-1)])
    }
  })

  test('of an answer without text has a role and a reason', async () => {
    await using server = await scripted({ pieces: [] })
    const { chunks } = await streamV1(server, '/chat/completions', { messages })
    expect(chunks.flatMap(({ choices }) => choices).map(({ delta, finish_reason }) => [delta?.role, finish_reason])).toEqual([
      ['assistant', null],
      [undefined, 'stop'],
    ])
  })

  test.each(['/chat/completions', '/completions'])('tells the usage when asked, just before the end: %s', async (path) => {
    await using server = await scripted(twenty)
    const body = path === '/completions' ? { prompt: 'x' } : { messages }
    for (const options of [{}, { stream_options: { include_usage: false } }, { stream_options: null }]) {
      const { chunks } = await streamV1(server, path, { ...body, ...options })
      expect(chunks.filter(({ choices }) => choices.length === 0)).toEqual([])
      expect(chunks.some((chunk) => 'usage' in chunk)).toBe(false)
    }
    const { events, chunks } = await streamV1(server, path, { ...body, stream_options: { include_usage: true } })
    const whole = await bodyOf<{ usage: object }>(await postV1(server, path, body))
    expect(chunks.filter(({ choices }) => choices.length === 0)).toEqual([chunks.at(-1)])
    expect(events.at(-1)?.data).toBe('[DONE]')
    expect(chunks.at(-1)?.usage).toEqual(whole.usage)
    expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true)
  })

  test('has the headers that keep a proxy from holding it back', async () => {
    await using server = await scripted(twenty)
    const { headers } = await postV1(server, '/chat/completions', { messages, stream: true })
    expect(headers.get('content-type')).toMatch(/^text\/event-stream/)
    expect(headers.get('cache-control')).toContain('no-cache')
    expect(headers.get('x-accel-buffering')).toBe('no')
  })
})

test('an answer without a limit ends at the end of the context window', async () => {
  const answer = () => ({ pieces: ['a '], end: false })
  await using server = await startServer({ host: createFakeEngine({ answer, contextSize: 512 }) })
  const whole = await bodyOf<{ choices: { finish_reason: string }[]; usage: { total_tokens: number } }>(
    await postV1(server, '/chat/completions', { messages }),
  )
  expect([whole.choices[0]?.finish_reason, whole.usage.total_tokens]).toEqual(['length', 512])
  const { chunks } = await streamV1(server, '/chat/completions', { messages })
  expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('length')
})

describe('a stream that fails', () => {
  test.each(['/chat/completions', '/completions'])('on the way ends with one error and without [DONE]: %s', async (path) => {
    await using server = await scripted({ ...twenty, failAfter: 5 })
    const body = path === '/completions' ? { prompt: 'x' } : { messages }
    const { events, chunks } = await streamV1(server, path, { ...body, stream_options: { include_usage: true } })
    expect(JSON.parse(events.at(-1)?.data ?? '')).toEqual({
      error: { message: expect.any(String), type: 'server_error', param: null, code: 'unavailable' },
    })
    expect(chunks.filter((chunk) => 'error' in chunk)).toHaveLength(1)
    expect(textOf(chunks.slice(0, -1))).toBe('t0 t1 t2 t3 t4 ')
    expect(chunks.flatMap(({ choices = [] }) => choices).every(({ finish_reason }) => finish_reason === null)).toBe(true)
  })

  test('on the way throws in the official client', async () => {
    await using server = await scripted({ ...twenty, failAfter: 5 })
    const stream = await openaiClient(server).chat.completions.create({ model: 'fake', messages, stream: true })
    const read = async () => {
      for await (const _ of stream);
    }
    await expect(read()).rejects.toMatchObject({ code: 'unavailable', type: 'server_error' })
  })

  test('before its first token is an ordinary error', async () => {
    await using server = await scripted({ ...twenty, failAfter: 0 })
    const response = await postV1(server, '/chat/completions', { messages, stream: true })
    expect(response.status).toBe(503)
    expect(response.headers.get('content-type')).toMatch(/^application\/json/)
    expect(await bodyOf(response)).toMatchObject({ error: { type: 'server_error', code: 'unavailable' } })
  })

  test('for its parameters is a 400 at once', async () => {
    await using server = await scripted(twenty)
    const response = await postV1(server, '/chat/completions', { messages, stream: true, n: 0 })
    expect(response.status).toBe(400)
    expect(await bodyOf(response)).toMatchObject({ error: { type: 'invalid_request_error', param: 'n' } })
  })
})

describe('the same text comes whole and as a stream, from chat and from completions', () => {
  test('with characters cut over tokens', async () => {
    const pieces = [[0xf0, 0x9f], [0x98, 0x80], [0xc3], [0xa9], [0xe4, 0xbd], [0xa0]].map((bytes) => Uint8Array.from(bytes))
    for (const way of await askAllWays({ pieces })) expect(way).toEqual({ text: '😀é你', reason: 'stop' })
    for (const way of await askAllWays({ pieces }, { max_tokens: 3 })) expect(way).toEqual({ text: '😀', reason: 'length' })
  })

  test('with line breaks of all kinds', async () => {
    const pieces = ['| n | m |\n|:-|-:|\n\n```\nq = 1\r\nr = 2\n```', ' leading', '\n', 'a\rb']
    for (const { text } of await askAllWays({ pieces })) expect(text).toBe(pieces.join(''))
  })

  test.each([
    [['MON', 'TA', 'GNE'], ['MONTAGNE'], ''],
    [['uno dos tr', 'es', ' cuatro'], 'es cua', 'uno dos tr'],
    [['son bo'], ['bonjour'], 'son bo'],
    [['a b', 'c d'], ['c d', 'bc'], 'a '],
  ])('with stop texts: %j until %j', async (pieces, stop, expected) => {
    for (const way of await askAllWays({ pieces }, { stop })) expect(way).toEqual({ text: expected, reason: 'stop' })
  })
})
