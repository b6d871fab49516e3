import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { ChatMessage } from '../../src/engine/provider.ts'
import { type OpenaiError, postV1 } from '../openai-client.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

const host = createScriptedHost(() => [
  { type: 'text-delta', index: 0, text: 'ok' },
  { type: 'choice-end', index: 0, reason: 'stop' },
  generationEnd(),
])
let server: TestServer
beforeAll(async () => {
  server = await startServer({ host })
})
afterAll(() => server[Symbol.asyncDispose]())

async function messagesOf(messages: unknown): Promise<readonly ChatMessage[] | undefined> {
  const response = await postV1(server, '/chat/completions', { messages })
  expect({ status: response.status, text: await response.text() }).toMatchObject({ status: 200 })
  const prompt = host.asked.at(-1)?.prompt
  return prompt?.type === 'chat' ? prompt.messages : undefined
}

const user = { role: 'user', content: 'x' }
const call = { id: 'call_1', type: 'function', function: { name: 'f', arguments: '{"a":null}' } }
const caller = { role: 'assistant', content: null, tool_calls: [call] }
const pixel = 'data:image/png;base64,iVBORw0KGgo='

describe('a conversation', () => {
  test.each<readonly [name: string, content: object]>([
    ['null', { content: null }],
    ['an empty text', { content: '' }],
    ['left out', {}],
  ])('may hold calls and what they gave, with content %s', async (_, content) => {
    const sent = [
      user,
      { role: 'assistant', ...content, tool_calls: [call] },
      { role: 'tool', tool_call_id: 'call_1', content: [{ type: 'text', text: '21 °C' }] },
    ]
    expect(await messagesOf(sent)).toEqual([
      user,
      { role: 'assistant', content: '', toolCalls: [{ id: 'call_1', name: 'f', arguments: '{"a":null}' }] },
      { role: 'tool', content: '21 °C', toolCallId: 'call_1' },
    ])
  })

  test('may come back as it was answered, with what clients add', async () => {
    const answered = {
      role: 'assistant',
      content: 'Two',
      refusal: null,
      annotations: [],
      audio: null,
      function_call: null,
      parsed: { a: 1 },
      reasoning_content: 'One and one.',
      tool_calls: [{ ...call, index: 0, function: { ...call.function, parsed_arguments: { a: null } } }],
    }
    expect(await messagesOf([user, answered, { role: 'tool', tool_call_id: 'call_1', content: '' }])).toMatchObject([
      {},
      { role: 'assistant', content: 'Two', reasoning: 'One and one.', toolCalls: [{ id: 'call_1' }] },
      {},
    ])
  })

  test('may hold a refusal, as a field or as a part', async () => {
    const expected = [user, { role: 'assistant', content: 'No.' }, user]
    expect(await messagesOf([user, { role: 'assistant', refusal: 'No.' }, user])).toEqual(expected)
    const part = { role: 'assistant', content: [{ type: 'refusal', refusal: 'No.' }] }
    expect(await messagesOf([user, part, user])).toEqual(expected)
  })

  test('may show images, by their bytes or their address', async () => {
    const content = [
      { type: 'image_url', image_url: { url: pixel, detail: 'low' } },
      { type: 'text', text: 'What is it?' },
      { type: 'image_url', image_url: { url: 'https://example.com/a.png' } },
    ]
    expect(await messagesOf([{ role: 'user', content }])).toEqual([
      { role: 'user', content: 'What is it?', images: [pixel, 'https://example.com/a.png'] },
    ])
  })

  test('may end with the beginning of the answer', async () => {
    const begun = [user, { role: 'assistant', content: 'It is' }]
    expect(await messagesOf(begun)).toEqual(begun)
  })
})

const image = (url: unknown) => [{ role: 'user', content: [{ type: 'image_url', image_url: { url } }] }]

describe('what is no conversation is refused, and the place named', () => {
  test.each<readonly [messages: unknown, param: string]>([
    [undefined, 'messages'],
    [null, 'messages'],
    [[], 'messages'],
    ['Hola', 'messages'],
    [[123], 'messages.0'],
    [['x'], 'messages.0'],
    [[[]], 'messages.0'],
    [[{}], 'messages.0.role'],
    [[{ role: 123 }], 'messages.0.role'],
    [[{ role: 'robot', content: 'x' }], 'messages.0.role'],
    [[{ role: 'function', name: 'f', content: 'x' }], 'messages.0.role'],
    [[{ content: 'x' }], 'messages.0.role'],
    [[user, {}], 'messages.1.role'],
    [[{ role: 'system', content: 123 }], 'messages.0.content'],
    [[{ role: 'user' }], 'messages.0.content'],
    [[{ role: 'user', content: null }], 'messages.0.content'],
    [[{ role: 'user', content: [] }], 'messages.0.content'],
    [[{ role: 'user', content: {} }], 'messages.0.content'],
    [[{ role: 'user', content: ['x'] }], 'messages.0.content.0'],
    [[{ role: 'user', content: [{ type: 'text' }] }], 'messages.0.content.0.text'],
    [[{ role: 'user', content: [{ type: 'text', text: 'x', size: 1 }] }], 'messages.0.content.0.size'],
    [
      [{ role: 'user', content: [{ type: 'input_audio', input_audio: { data: '', format: 'wav' } }] }],
      'messages.0.content.0.type',
    ],
    [[{ role: 'user', content: [{ type: 'file', file: {} }] }], 'messages.0.content.0.type'],
    [[{ role: 'system', content: [{ type: 'image_url', image_url: { url: pixel } }] }], 'messages.0.content.0.type'],
    [[{ role: 'user', content: 'x', mood: 'good' }], 'messages.0.mood'],
    [[{ role: 'assistant' }], 'messages.0.content'],
    [[{ role: 'assistant', content: null, tool_calls: [] }], 'messages.0.content'],
    [[{ role: 'assistant', tool_calls: [{}] }], 'messages.0.tool_calls.0.id'],
    [[{ role: 'assistant', tool_calls: [{ id: 'a', function: { name: 'f' } }] }], 'messages.0.tool_calls.0.function.arguments'],
    [
      [{ role: 'assistant', tool_calls: [{ id: 'a', type: 'function', function: { name: 'f', arguments: {} } }] }],
      'messages.0.tool_calls.0.function.arguments',
    ],
    [[{ role: 'assistant', tool_calls: [{ ...call, type: 'custom' }] }], 'messages.0.tool_calls.0.type'],
    [[user, { role: 'assistant', content: 'a' }, { role: 'assistant', content: 'b' }], 'messages'],
    [[{ role: 'tool', content: 'x' }], 'messages.0.tool_call_id'],
    [[user, { role: 'tool', content: 'x', tool_call_id: 'call_1' }], 'messages.1.tool_call_id'],
    [[user, caller, { role: 'tool', content: 'x', tool_call_id: 'call_2' }], 'messages.2.tool_call_id'],
    [[user, caller, { role: 'tool', tool_call_id: 'call_1' }], 'messages.2.content'],
    [image('data:'), 'messages.0.content.0.image_url.url'],
    [image('data:text/html;base64,AAAA'), 'messages.0.content.0.image_url.url'],
    [image('http://example.com/a.png'), 'messages.0.content.0.image_url.url'],
    [image('file:///etc/passwd'), 'messages.0.content.0.image_url.url'],
    [image('https://'), 'messages.0.content.0.image_url.url'],
    [image(undefined), 'messages.0.content.0.image_url.url'],
  ])('%j', async (messages, param) => {
    const asked = host.asked.length
    for (const stream of [false, true]) {
      const response = await postV1(server, '/chat/completions', { messages, stream })
      const { error } = await bodyOf<OpenaiError>(response)
      expect({ status: response.status, error }).toMatchObject({
        status: 400,
        error: { type: 'invalid_request_error', code: 'invalid_value', param, message: expect.stringContaining(param) },
      })
    }
    expect(host.asked).toHaveLength(asked)
  })
})
