import fc from 'fast-check'
import { afterAll, describe, expect, test } from 'vitest'
import type { GenerateRequest } from '../../src/engine/provider.ts'
import { type AnthropicError, ends, hello, postMessages, says } from '../anthropic-client.ts'
import { postV1 } from '../openai-client.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { bodyOf, startServer } from '../server.ts'

const host = createScriptedHost(() => [...says('Hola.'), ...ends()])
const server = await startServer({ host })
afterAll(() => server[Symbol.asyncDispose]())

/** What the model is asked for a body. */
async function ask(body: object): Promise<GenerateRequest> {
  const response = await postMessages(server, { ...hello, ...body })
  expect([response.status, await response.text()]).toEqual([200, expect.stringContaining('Hola.')])
  const request = host.asked.at(-1)
  if (request === undefined) throw new Error('Nothing was asked.')
  return request
}

async function promptOf(body: object) {
  const { prompt } = await ask(body)
  if (prompt.type !== 'chat') throw new Error('The prompt is no conversation.')
  return prompt
}

/** The message of the refusal. */
async function refuse(body: object, path = ''): Promise<string> {
  const response = await postMessages(server, { ...hello, ...body }, {}, path)
  const { type, error } = await bodyOf<AnthropicError>(response)
  expect([response.status, type, error?.type]).toEqual([400, 'error', 'invalid_request_error'])
  return error.message
}

const user = (...content: object[]) => ({ role: 'user', content })
const assistant = (...content: object[]) => ({ role: 'assistant', content })
const text = (words: string) => ({ type: 'text', text: words, cache_control: { type: 'ephemeral', ttl: '1h' } })
const weather = {
  name: 'weather',
  description: 'Tells it.',
  input_schema: { type: 'object', properties: { city: { type: 'string' } } },
}
const time = { type: 'custom', name: 'time', input_schema: { type: 'object' } }

describe('a conversation', () => {
  test('may be texts or blocks, after a system prompt of either', async () => {
    const messages = [user(text('One'), text('two')), { role: 'assistant', content: 'three' }, user(text('four'))]
    expect((await promptOf({ system: [text('Be'), text('brief')], messages })).messages).toEqual([
      { role: 'system', content: 'Be\nbrief' },
      { role: 'user', content: 'One\ntwo' },
      { role: 'assistant', content: 'three' },
      { role: 'user', content: 'four' },
    ])
    expect((await promptOf({ system: 'Be brief', messages })).messages[0]).toEqual({ role: 'system', content: 'Be brief' })
  })

  test('is the same as that of the OpenAI endpoint for the same question', async () => {
    const turns = [
      { role: 'user', content: 'Hola' },
      { role: 'assistant', content: 'Hey' },
      { role: 'user', content: 'And?' },
    ]
    const common = { model: 'scripted', max_tokens: 9, temperature: 0.4 }
    await postMessages(server, { ...common, system: 'Be brief', messages: turns, stop_sequences: ['.'] })
    await postV1(server, '/chat/completions', {
      ...common,
      messages: [{ role: 'system', content: 'Be brief' }, ...turns],
      stop: '.',
    })
    expect(host.asked.at(-1)).toEqual(host.asked.at(-2))
    expect(host.asked.at(-1)).toMatchObject({ maxTokens: 9, stop: ['.'], sampling: { temperature: 0.4 } })
  })

  test('holds tool calls under their ids, their results in order, and images beside what the user says', async () => {
    const image = { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } }
    const remote = { type: 'image', source: { type: 'url', url: 'https://example.org/a.png' } }
    const messages = [
      user(text('Weather?')),
      assistant(
        { type: 'thinking', thinking: 'I look.', signature: 'signed' },
        text('One moment.'),
        { type: 'tool_use', id: 'toolu_1', name: 'weather', input: { city: null }, caller: { type: 'direct' } },
        { type: 'tool_use', id: 'call_2', name: 'time', input: {} },
      ),
      user(
        { type: 'tool_result', tool_use_id: 'toolu_1', content: [text('rain'), image], is_error: false },
        { type: 'tool_result', tool_use_id: 'call_2', content: 'no clock', is_error: true },
        text('And now?'),
        remote,
      ),
    ]
    expect((await promptOf({ messages, tools: [weather, time] })).messages.slice(1)).toEqual([
      {
        role: 'assistant',
        content: 'One moment.',
        reasoning: 'I look.',
        reasoningSignature: 'signed',
        toolCalls: [
          { id: 'toolu_1', name: 'weather', arguments: '{"city":null}' },
          { id: 'call_2', name: 'time', arguments: '{}' },
        ],
      },
      { role: 'tool', toolCallId: 'toolu_1', content: 'rain' },
      { role: 'tool', toolCallId: 'call_2', content: 'Error: no clock' },
      { role: 'user', content: 'And now?', images: ['data:image/png;base64,AAAA', 'https://example.org/a.png'] },
    ])
  })

  test('takes documents that are text, and search results, as text', async () => {
    const source = { type: 'text', media_type: 'text/plain', data: 'Once.' }
    const found = { type: 'search_result', source: 'https://a.example', title: 'A', content: [text('Twice.')] }
    const messages = [user({ type: 'document', source, title: 'Tale', citations: { enabled: false } }, found, text('Well?'))]
    expect((await promptOf({ messages })).messages).toEqual([
      { role: 'user', content: 'Tale\nOnce.\nA\nhttps://a.example\nTwice.\nWell?' },
    ])
  })

  test('joins messages of one speaker after the other to one turn', async () => {
    const messages = [user(text('a')), { role: 'user', content: 'b' }, { role: 'assistant', content: 'c' }, assistant(text('d'))]
    expect((await promptOf({ messages })).messages).toEqual([
      { role: 'user', content: 'a\nb' },
      { role: 'assistant', content: 'c\nd' },
    ])
  })

  test('leaves a last message of the assistant as it is, to be continued', async () => {
    const messages = [user(text('Count')), { role: 'assistant', content: 'One, ' }]
    expect((await promptOf({ messages })).messages.at(-1)).toEqual({ role: 'assistant', content: 'One, ' })
  })

  test("does not show the model what is for Anthropic's accounting, nor thoughts in cipher", async () => {
    const system = [{ type: 'text', text: 'x-anthropic-billing-header: cc_version=2.1; cch=fa690;' }, text('Be brief')]
    const messages = [user(text('a')), assistant({ type: 'redacted_thinking', data: 'EmwK' }, text('b')), user(text('c'))]
    const { messages: shown } = await promptOf({ system, messages })
    expect(shown[0]).toEqual({ role: 'system', content: 'Be brief' })
    expect(shown[2]).toMatchObject({ role: 'assistant', content: 'b' })
    expect(shown[2]).not.toHaveProperty('reasoning')
  })
})

describe('tools', () => {
  test.each([
    [undefined, 'auto', true],
    [{ type: 'auto', disable_parallel_tool_use: true }, 'auto', false],
    [{ type: 'any' }, 'required', true],
    [{ type: 'none' }, 'none', true],
    [{ type: 'tool', name: 'time' }, { name: 'time' }, true],
  ])('with tool_choice %j are asked for as %j', async (tool_choice, choice, parallel) => {
    const { tools } = await promptOf({ tools: [weather, time], ...(tool_choice === undefined ? {} : { tool_choice }) })
    expect(tools).toEqual({
      tools: [
        { name: 'weather', description: 'Tells it.', parameters: weather.input_schema, field: 'tools.0.input_schema' },
        { name: 'time', parameters: { type: 'object' }, field: 'tools.1.input_schema' },
      ],
      choice,
      parallel,
    })
  })

  test('are shown with examples of their input', async () => {
    const { tools } = await promptOf({ tools: [{ ...weather, input_examples: [{ city: 'Bilbao' }] }] })
    expect(tools?.tools[0]?.description).toBe('Tells it.\n\nExamples of its input:\n{"city":"Bilbao"}')
  })

  test('that are deferred are shown once a result names them', async () => {
    const tools = [weather, { ...time, defer_loading: true }]
    const search = { type: 'tool_use', id: 'toolu_1', name: 'weather', input: {} }
    const found = { type: 'tool_result', tool_use_id: 'toolu_1', content: [{ type: 'tool_reference', tool_name: 'time' }] }
    const namesOf = async (body: object) => (await promptOf(body)).tools?.tools.map(({ name }) => name)
    expect(await namesOf({ tools })).toEqual(['weather'])
    expect(await namesOf({ tools, messages: [user(text('a')), assistant(search), user(found)] })).toEqual(['weather', 'time'])
  })
})

test.each([
  [{ type: 'disabled' }, undefined, 'none'],
  [{ type: 'enabled', budget_tokens: 4000 }, undefined, 'low'],
  [{ type: 'enabled', budget_tokens: 10_000 }, undefined, 'medium'],
  [{ type: 'enabled', budget_tokens: 31_999 }, undefined, 'high'],
  [{ type: 'adaptive' }, 'medium', 'medium'],
  [{ type: 'adaptive' }, 'max', 'high'],
  [{ type: 'adaptive' }, undefined, undefined],
  [undefined, 'low', 'low'],
])('thinking %j with effort %s is %s', async (thinking, effort, reasoning) => {
  const config = effort === undefined ? {} : { output_config: { effort } }
  expect((await promptOf({ ...config, ...(thinking === undefined ? {} : { thinking }) })).reasoning).toBe(reasoning)
})

test.each([
  [{ output_config: { format: { type: 'json_schema', schema: { type: 'object' } } } }, 'output_config.format.schema'],
  [{ output_format: { type: 'json_schema', schema: { type: 'object' } } }, 'output_format.schema'],
])('%j asks for JSON', async (body, field) => {
  expect((await ask(body)).format).toEqual({ type: 'json-schema', schema: { type: 'object' }, field })
})

test('what a coding assistant sends is understood', async () => {
  const body = {
    system: [text('You are an assistant.')],
    tools: [
      {
        ...weather,
        eager_input_streaming: true,
        strict: true,
        defer_loading: false,
        cache_control: { type: 'ephemeral', scope: 'global' },
      },
    ],
    metadata: { user_id: '{"device_id":"a","session_id":"b"}' },
    thinking: { type: 'adaptive', display: null },
    context_management: { edits: [{ type: 'clear_thinking_20251015', keep: 'all' }] },
    output_config: { effort: 'high', format: null },
    temperature: 1,
    top_p: 0.9,
    top_k: 5,
    service_tier: 'auto',
    diagnostics: { previous_message_id: null },
    speed: 'standard',
    container: null,
    mcp_servers: [],
  }
  expect((await ask(body)).sampling).toMatchObject({ temperature: 1, topP: 0.9, topK: 5 })
})

describe('refused with the name of what is at fault is', () => {
  const image = { type: 'image', source: { type: 'file', file_id: 'file_1' } }
  const pdf = { type: 'document', source: { type: 'base64', media_type: 'application/pdf', data: 'AAAA' } }
  const stray = { type: 'tool_result', tool_use_id: 'toolu_9', content: 'a' }
  test.each<[string, object]>([
    ['max_tokens', { max_tokens: undefined }],
    ['model', { model: undefined }],
    ['temprature', { temprature: 1 }],
    ['temperature', { temperature: 1.5 }],
    ['container', { container: 'container_1' }],
    ['mcp_servers', { mcp_servers: [{ type: 'url', name: 'a', url: 'https://a.example' }] }],
    ['context_management', { context_management: { edits: [{ type: 'clear_tool_uses_20250919' }] } }],
    ['fallbacks', { fallbacks: [{ model: 'other' }] }],
    ['messages.0.role', { messages: [{ role: 'tool', content: 'a' }] }],
    ['messages.0.content', { messages: [{ role: 'user' }] }],
    ['messages.0.content.1.texto', { messages: [user(text('a'), { type: 'text', text: 'b', texto: 'c' })] }],
    ['messages.0.content.0.type', { messages: [user({ type: 'server_tool_use', id: 'a', name: 'b', input: {} })] }],
    ['messages.0.content.0.type', { messages: [user({ type: 'tool_use', id: 'a', name: 'b', input: {} })] }],
    ['messages.0.content.0.source.type', { messages: [user(image)] }],
    ['messages.0.content.0.source.type', { messages: [user(pdf)] }],
    ['messages.0.content', { messages: [user(stray)] }],
    ['tools.0.type', { tools: [{ type: 'web_search_20250305', name: 'web_search', max_uses: 5 }] }],
    ['tools.0.input_schema', { tools: [{ name: 'a' }] }],
    ['tools.1.name', { tools: [weather, weather] }],
    ['tool_choice.name', { tools: [weather], tool_choice: { type: 'tool', name: 'other' } }],
    ['tools', { tool_choice: { type: 'any' } }],
    ['thinking.budget_tokens', { thinking: { type: 'enabled' } }],
    ['thinking.type', { thinking: { type: 'between_tools' } }],
  ])('%s', async (field, body) => {
    expect(await refuse(body)).toMatch(new RegExp(`^"${field.replaceAll('.', '\\.')}" must (be|hold) `))
  })

  test('a field of /v1/messages that counts no tokens', async () => {
    expect(await refuse({}, '/count_tokens')).toContain('"max_tokens" must be left out')
  })
})

test('no body at all makes anything else of the service than an answer of its dialect', async () => {
  const anything = fc.object({ key: fc.constantFrom('type', 'role', 'content', 'source', 'input', 'text', 'name'), maxDepth: 4 })
  await fc.assert(
    fc.asyncProperty(fc.record({ messages: fc.array(anything), tools: fc.array(anything), system: anything }), async (body) => {
      const response = await postMessages(server, { ...hello, ...body })
      const { type } = await bodyOf<AnthropicError>(response)
      expect([response.status, type]).toEqual([400, 'error'])
    }),
    { numRuns: 60 },
  )
})
