import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { calling, saying } from '../answer-scripts.ts'
import { anthropicClient, ends, hello, postMessages, says, streamMessages, thinks } from '../anthropic-client.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { linesOf, postApi } from '../ollama-client.ts'
import { openaiClient, postV1, streamV1, textOf } from '../openai-client.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

// What llama-server's, vLLM's and Ollama's public tests ask of answers (docs/peer-behaviours.md), where it needs no model.

const messages = [{ role: 'user' as const, content: 'x' }]
const model = 'scripted'
const user = { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'x' }] }

/** Each way to ask for an answer. */
const ways = [
  ['/v1/chat/completions', { messages }],
  ['/v1/completions', { prompt: 'x', max_tokens: 5000 }],
  ['/v1/responses', { input: [user] }],
  ['/v1/messages', { model: 'fake', max_tokens: 5000, messages }],
  ['/api/chat', { model: 'fake', messages }],
  ['/api/generate', { model: 'fake', prompt: 'x' }],
  ['/predict', { prompt: 'x', max_length: 5000 }],
] as const

const post = ({ url }: TestServer, path: string, body: object, signal?: AbortSignal) =>
  fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
    ...(signal === undefined ? {} : { signal }),
  })

const endless = (more: object = {}) =>
  createFakeEngine({ answer: () => ({ pieces: ['word '], end: false }), pauseMs: 1, contextSize: 1_000_000, ...more })

describe('who leaves', () => {
  test.each(ways)('before a whole answer has come frees the model: %s', async (path, body) => {
    const host = endless({ parallel: 1 })
    await using server = await startServer({ host })
    const gone = new AbortController()
    const answer = post(server, path, { ...body, stream: false }, gone.signal).catch((error: unknown) => error)
    while (host.status().active === 0) await setImmediate()
    gone.abort()
    await answer
    await expect.poll(() => host.status().active, { timeout: 1000, interval: 10 }).toBe(0)
  })

  test('in numbers leaves the service as quick as before', async () => {
    const host = endless({ parallel: 4, maxQueue: 256 })
    await using server = await startServer({ host })
    const gone = new AbortController()
    const many = Array.from({ length: 200 }, () => post(server, '/v1/chat/completions', { messages }, gone.signal))
    while (host.status().active < 4) await setImmediate()
    gone.abort()
    const left = await Promise.allSettled(many)
    expect(left.every(({ status }) => status === 'rejected')).toBe(true)
    const { usage } = await openaiClient(server).chat.completions.create({ model: 'fake', messages, max_tokens: 10 })
    expect(usage?.completion_tokens).toBe(10)
  })
})

describe('too many at once', () => {
  test.each(ways)('are told so at once, with the time to wait, whole or streamed: %s', async (path, body) => {
    const host = endless({ parallel: 1, maxQueue: 1 })
    await using server = await startServer({ host })
    const gone = new AbortController()
    const held = [1, 2].map(() => post(server, '/predict', { prompt: 'x', max_length: 5000 }, gone.signal).catch(() => undefined))
    while (host.status().queued === 0) await setImmediate()
    for (const stream of [false, true]) {
      const response = await post(server, path, { ...body, stream })
      expect([response.status, response.headers.get('retry-after')]).toEqual([
        path === '/v1/messages' ? 529 : 503,
        expect.stringMatching(/^[1-9]\d*$/),
      ])
      expect(response.headers.get('content-type')).toMatch(/^application\/json/)
    }
    gone.abort()
    await Promise.all(held)
  })
})

describe('images', () => {
  const data = 'iVBORw0KGgo='
  const shown = [{ type: 'image_url', image_url: { url: `data:image/png;base64,${data}` } }]
  const block = { type: 'image', source: { type: 'base64', media_type: 'image/png', data } }

  test.each<readonly [path: string, body: object]>([
    ['/v1/chat/completions', { messages: [{ role: 'user', content: shown }] }],
    ['/v1/responses', { input: [{ role: 'user', content: [{ type: 'input_image', image_url: shown[0]?.image_url.url }] }] }],
    ['/v1/messages', { model: 'fake', max_tokens: 5, messages: [{ role: 'user', content: [block] }] }],
    ['/api/chat', { model: 'fake', messages: [{ role: 'user', content: 'x', images: [data] }] }],
    ['/api/generate', { model: 'fake', prompt: 'x', images: [data] }],
  ])('are refused where the model does not see, whole and streamed: %s', async (path, body) => {
    await using server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }) })
    for (const stream of [false, true]) {
      const response = await post(server, path, { ...body, stream })
      expect(response.status).toBe(400)
      expect(await response.text()).toMatch(/image/)
    }
  })
})

describe('an answer', () => {
  test('has as many tokens as were asked for, whole and streamed, and says why it ended', async () => {
    await using server = await startServer({ host: endless() })
    for (const max_tokens of [1, 2, 8, 64]) {
      const asked = { messages, max_tokens, stream_options: { include_usage: true } }
      const { chunks } = await streamV1(server, '/chat/completions', asked)
      expect(chunks.at(-1)?.usage).toMatchObject({ completion_tokens: max_tokens })
      expect(textOf(chunks)).toBe('word '.repeat(max_tokens))
      const { choices, usage } = await openaiClient(server).chat.completions.create({ model: 'fake', messages, max_tokens })
      expect(choices[0]).toMatchObject({ finish_reason: 'length', message: { content: 'word '.repeat(max_tokens) } })
      expect(usage?.completion_tokens).toBe(max_tokens)
    }
  })

  test('has an id like no other, of the form that its kind has', async () => {
    await using server = await startServer({ host: createScriptedHost(() => saying('a')) })
    const ids = new Map<string, RegExp>([
      ['/v1/chat/completions', /^chatcmpl-/],
      ['/v1/completions', /^cmpl-/],
      ['/v1/responses', /^resp_/],
      ['/v1/messages', /^msg_/],
    ])
    const seen = new Set<string>()
    for (const [path, form] of ids)
      for (const _ of [1, 2]) {
        const [, body = {}] = ways.find(([one]) => one === path) ?? []
        const { id } = await bodyOf<{ id: string }>(await post(server, path, { ...body, model }))
        expect(id).toMatch(form)
        seen.add(id)
      }
    expect(seen.size).toBe(8)
  })

  test('keeps the form of its dialect: nothing of ours stands in it', async () => {
    await using server = await startServer({ host: createScriptedHost(() => saying('a')) })
    for (const [path, body] of ways.slice(0, 4)) {
      const answer = await (await post(server, path, { ...body, model })).text()
      expect(answer).not.toMatch(/timings|ran_on|"cached"/)
    }
  })

  test('calls functions with content null, and says by its reason that a call was cut off by the limit', async () => {
    const host = createScriptedHost(() => calling(['call_1', 'f', '{"a":1}'], ['call_2', 'f', '{}']))
    await using server = await startServer({ host })
    const tools = [{ type: 'function' as const, function: { name: 'f', parameters: {} } }]
    const [whole] = (await openaiClient(server).chat.completions.create({ model, messages, tools })).choices
    expect(whole).toMatchObject({ finish_reason: 'tool_calls', message: { content: null, tool_calls: [{}, {}] } })
    const cut = createScriptedHost(() => [
      { type: 'tool-call-start', index: 0, call: 0, id: 'call_1', name: 'f' },
      { type: 'tool-call-delta', index: 0, call: 0, text: '{"a":' },
      ...ends('length'),
    ])
    await using cutting = await startServer({ host: cut })
    const [short] = (await openaiClient(cutting).chat.completions.create({ model, messages, tools })).choices
    expect(short?.finish_reason).toBe('length')
    const { chunks } = await streamV1(cutting, '/chat/completions', { messages, tools })
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe('length')
  })

  test('is asked for with an earlier call whose arguments are empty, as models without any write them', async () => {
    const host = createScriptedHost(() => saying('It is noon.'))
    await using server = await startServer({ host })
    for (const written of ['', '{}']) {
      const call = { id: 'call_1', type: 'function' as const, function: { name: 'now', arguments: written } }
      const history = [...messages, { role: 'assistant' as const, content: '', tool_calls: [call] }]
      const result = { role: 'tool' as const, tool_call_id: 'call_1', content: '12:00' }
      const { choices } = await openaiClient(server).chat.completions.create({ model, messages: [...history, result] })
      expect(choices[0]?.message.content).toBe('It is noon.')
    }
  })

  test('that fails inside tells nothing of the inside, whole and streamed', async () => {
    const secret = 'Cannot read /srv/app/secret.ts at 0x7a95e299e750'
    for (const fail of [
      () => new TypeError(secret),
      () => new AppError('internal', 'Something failed inside.', { cause: secret }),
    ]) {
      const host = createScriptedHost(function* () {
        yield* says('a')
        throw fail()
      })
      await using server = await startServer({ host })
      for (const [path, body] of ways)
        for (const stream of [false, true]) {
          const answer = await (await post(server, path, { ...body, model, stream })).text()
          expect(answer).not.toMatch(/srv|0x7a|TypeError/)
          expect(answer).toMatch(/error/)
        }
    }
  })
})

describe('a response', () => {
  async function open() {
    const host = createScriptedHost(() => saying('ok'))
    const server = await startServer({ host })
    return { host, server, client: openaiClient(server).responses, [Symbol.asyncDispose]: server[Symbol.asyncDispose] }
  }

  test('is kept where store is null or left out', async () => {
    await using world = await open()
    for (const store of [{}, { store: null }, { store: true }]) {
      const { id } = await world.client.create({ model, input: 'x', ...store })
      expect((await world.client.retrieve(id)).status).toBe('completed')
    }
  })

  test('can be gone on from twice, and neither sees the other', async () => {
    await using world = await open()
    const first = await world.client.create({ model, input: 'My name is John.' })
    const go = (input: string) => world.client.create({ model, input, previous_response_id: first.id })
    await Promise.all([go('My name is Mark.'), go('What is my name?')])
    const prompts = world.host.asked.slice(1).map(({ prompt }) => JSON.stringify(prompt))
    for (const prompt of prompts) expect(prompt).toContain('John')
    expect(prompts.filter((prompt) => prompt.includes('Mark') && prompt.includes('What is'))).toEqual([])
  })

  test('is asked for with a history with and without ids, as clients send it back', async () => {
    await using world = await open()
    const said = { type: 'message', role: 'assistant', content: [{ type: 'output_text', text: 'Hi.' }] }
    const thought = { type: 'reasoning', summary: [], encrypted_content: null }
    const histories = [
      [user, said, thought, user],
      [user, { ...said, id: 'msg_1', status: 'completed' }, { ...thought, id: 'rs_1', status: 'completed' }, user],
    ]
    for (const input of histories) expect((await postV1(world.server, '/responses', { input })).status).toBe(200)
    const [one, other] = world.host.asked.map(({ prompt }) => prompt)
    expect(one).toEqual(other)
  })

  test('streams what its last event holds whole, under the same ids', async () => {
    await using server = await startServer({ host: createScriptedHost(() => [...thinks('Hm'), ...saying('Hel', 'lo')]) })
    const seen: string[] = []
    let text = ''
    for await (const event of await openaiClient(server).responses.create({ model, input: 'x', stream: true })) {
      if ('item_id' in event && event.type.includes('output_text')) seen.push(event.item_id)
      if (event.type === 'response.output_text.delta') text += event.delta
      if (event.type !== 'response.completed') continue
      const last = event.response.output.at(-1)
      expect([last?.id, event.response.output_text ?? text]).toEqual([seen[0], 'Hello'])
    }
    expect([text, new Set(seen).size]).toEqual(['Hello', 1])
  })
})

describe('a message of Anthropic’s API', () => {
  test('says null where nothing stopped it, and which text where one did', async () => {
    await using server = await startServer({ host: createScriptedHost(() => [...says('a'), ...ends()]) })
    const whole = await bodyOf<object>(await postMessages(server, hello))
    expect(whole).toMatchObject({ stop_reason: 'end_turn', stop_sequence: null })
    await using stopped = await startServer({ host: createScriptedHost(() => [...says('a'), ...ends('stop', 'END')]) })
    const asked = { ...hello, stop_sequences: ['END'] }
    expect(await anthropicClient(stopped).messages.create(asked)).toMatchObject({
      stop_reason: 'stop_sequence',
      stop_sequence: 'END',
    })
    const events = (await streamMessages(stopped, asked)).map(({ data }) => JSON.parse(data))
    expect(events.at(-2)).toMatchObject({ delta: { stop_reason: 'stop_sequence', stop_sequence: 'END' } })
  })

  const assistant = (block: object) => [...messages, { role: 'assistant', content: [block] }, ...messages]
  const asks = (block: object) => [{ role: 'user', content: [block] }]

  test.each<readonly [field: string, conversation: object]>([
    ['messages.1.content.0.id', assistant({ type: 'tool_use', name: 'f', input: {} })],
    ['messages.1.content.0.id', assistant({ type: 'tool_use', id: '', name: 'f', input: {} })],
    ['messages.1.content.0.name', assistant({ type: 'tool_use', id: 'a', input: {} })],
    ['messages.1.content.0.name', assistant({ type: 'tool_use', id: 'a', name: '', input: {} })],
    ['messages.1.content.0.input', assistant({ type: 'tool_use', id: 'a', name: 'f' })],
    ['messages.1.content.0.text', assistant({ type: 'text' })],
    ['messages.1.content.0.thinking', assistant({ type: 'thinking', signature: 's' })],
    ['messages.1.content.0.data', assistant({ type: 'redacted_thinking' })],
    ['messages.0.content.0.tool_use_id', asks({ type: 'tool_result' })],
    ['messages.0.content.0.tool_use_id', asks({ type: 'tool_result', tool_use_id: '' })],
    ['messages.0.content.0.source', asks({ type: 'image' })],
    ['messages.0.content.0.source.url', asks({ type: 'image', source: { type: 'url', url: 'file:///etc/passwd' } })],
    ['messages', []],
  ])('is refused where a block lacks what it needs: %s', async (field, conversation) => {
    await using server = await startServer({ host: createScriptedHost(() => [...says('a'), ...ends()]) })
    const response = await postMessages(server, { ...hello, messages: conversation })
    expect(response.status).toBe(400)
    expect(await response.json()).toMatchObject({ error: { message: expect.stringMatching(new RegExp(`^"${field}" must`)) } })
  })

  test('is counted without max_tokens, and thoughts that came before count', async () => {
    await using server = await startServer({ host: createScriptedHost(() => [...says('a'), ...ends()]) })
    const count = async (content: object[]) => {
      const conversation = [...messages, { role: 'assistant', content }, ...messages]
      return bodyOf<{ input_tokens: number }>(await postMessages(server, { model, messages: conversation }, {}, '/count_tokens'))
    }
    const said = { type: 'text', text: 'a' }
    const [without, withThoughts] = [await count([said]), await count([{ type: 'thinking', thinking: 'Let me see.' }, said])]
    expect(Object.keys(without)).toEqual(['input_tokens'])
    expect(withThoughts.input_tokens).toBeGreaterThan(without.input_tokens)
  })
})

test('every dialect tells the usage of a stream at its end', async () => {
  await using server = await startServer({ host: createScriptedHost(() => saying('a')) })
  const { chunks } = await streamV1(server, '/completions', { prompt: 'x', stream_options: { include_usage: true } })
  expect(chunks.at(-1)?.usage).toMatchObject({ prompt_tokens: 7, completion_tokens: 3, total_tokens: 10 })
  const { events } = await streamV1(server, '/responses', { input: 'x' })
  const completed = { type: 'response.completed', response: { usage: { input_tokens: 7, output_tokens: 3, total_tokens: 10 } } }
  expect(JSON.parse(events.at(-1)?.data ?? '')).toMatchObject(completed)
  const [delta] = (await streamMessages(server, hello)).slice(-2)
  expect(JSON.parse(delta?.data ?? '')).toMatchObject({ usage: { input_tokens: 7, output_tokens: 3 } })
  const last = (await linesOf(await postApi(server, '/chat', { model, messages }))).at(-1)
  expect([last?.prompt_eval_count, last?.eval_count]).toEqual([7, 3])
})
