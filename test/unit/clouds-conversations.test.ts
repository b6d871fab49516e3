import { describe, expect, test } from 'vitest'
import { streams } from '../cloud-server.ts'
import {
  anthropicMessage,
  block,
  callDelta,
  chatCompletion,
  delta,
  textBlock,
  thinkingBlock,
  toolBlock,
} from '../cloud-transcripts.ts'
import { at } from '../dialects.ts'
import { answerAll, jsonOf, modelOf, type ServiceWorld, startServiceWorld } from '../service-world.ts'
import { readEvents } from '../sse-parser.ts'

const claude = `claude/${modelOf.claude}`
const gpu = `gpu/${modelOf.gpu}`
const schema = { type: 'object', properties: { city: { type: 'string' } }, required: ['city'], additionalProperties: false }
const pixel = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const calls = {
  claude: streams(anthropicMessage('tool_use', toolBlock(0, 'call_1', 'weather', '{"city":', '"Lima"}'))),
  openai: streams(
    chatCompletion(
      'tool_calls',
      callDelta(0, { id: 'call_1', type: 'function', function: { name: 'weather', arguments: '' } }),
      callDelta(0, { function: { arguments: '{"city":"Lima"}' } }),
    ),
  ),
}

/** What the provider was asked for with. */
const bodyOf = (world: ServiceWorld, name: 'claude' | 'openai' | 'gpu', number = -1) =>
  world.clouds[name].requests.at(number)?.body

type Item = Readonly<Record<string, unknown>>
const listOf = (value: unknown): readonly Item[] => (Array.isArray(value) ? value : [])

const chatTools = [{ type: 'function', function: { name: 'weather', description: 'Tells it.', parameters: schema } }]
const user = { role: 'user', content: 'Weather in Lima?' }

/** The same conversation by each dialect: a question, the call that it leads to, and the result of that. */
const loops = {
  async chat(world: ServiceWorld, model: string) {
    const first = await jsonOf(await world.call('/v1/chat/completions', { model, messages: [user], tools: chatTools }))
    const message = at(first, 'choices', 0, 'message')
    const result = { role: 'tool', tool_call_id: 'call_1', content: 'rain' }
    await jsonOf(await world.call('/v1/chat/completions', { model, messages: [user, message, result], tools: chatTools }))
    return {
      name: at(message, 'tool_calls', 0, 'function', 'name'),
      input: JSON.parse(String(at(message, 'tool_calls', 0, 'function', 'arguments'))),
    }
  },
  async responses(world: ServiceWorld, model: string) {
    const tools = [{ type: 'function', name: 'weather', description: 'Tells it.', parameters: schema, strict: true }]
    const first = await jsonOf(await world.call('/v1/responses', { model, input: 'Weather in Lima?', tools }))
    const call = listOf(first.output).find(({ type }) => type === 'function_call')
    const output = { type: 'function_call_output', call_id: call?.call_id, output: 'rain' }
    await jsonOf(await world.call('/v1/responses', { model, previous_response_id: first.id, input: [output], tools }))
    return { name: call?.name, input: JSON.parse(String(call?.arguments)) }
  },
  async messages(world: ServiceWorld, model: string) {
    const tools = [{ name: 'weather', description: 'Tells it.', input_schema: schema }]
    const first = await jsonOf(await world.call('/v1/messages', { model, max_tokens: 99, messages: [user], tools }))
    const call = listOf(first.content).find(({ type }) => type === 'tool_use')
    const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: call?.id, content: 'rain' }] }
    const messages = [user, { role: 'assistant', content: first.content }, result]
    await jsonOf(await world.call('/v1/messages', { model, max_tokens: 99, messages, tools }))
    return { name: call?.name, input: call?.input }
  },
  async ollama(world: ServiceWorld, model: string) {
    const first = await jsonOf(await world.call('/api/chat', { model, messages: [user], tools: chatTools, stream: false }))
    const call = at(first, 'message', 'tool_calls', 0, 'function')
    const result = { role: 'tool', tool_name: 'weather', content: 'rain' }
    await jsonOf(
      await world.call('/api/chat', { model, messages: [user, first.message, result], tools: chatTools, stream: false }),
    )
    return { name: at(call, 'name'), input: at(call, 'arguments') }
  },
} as const

describe('a tool', () => {
  test.each(Object.keys(loops) as (keyof typeof loops)[])('is called, and its result goes back, by %s', async (dialect) => {
    const world = await startServiceWorld()
    answerAll(world, calls)
    for (const model of [claude, gpu])
      expect(await loops[dialect](world, model)).toEqual({ name: 'weather', input: { city: 'Lima' } })
    expect(bodyOf(world, 'claude', 0)).toMatchObject({
      tools: [{ name: 'weather', description: 'Tells it.', input_schema: schema }],
      tool_choice: { type: 'auto' },
    })
    expect(at(bodyOf(world, 'claude'), 'messages')).toMatchObject([
      { role: 'user' },
      { role: 'assistant', content: [{ type: 'tool_use', id: 'call_1', name: 'weather', input: { city: 'Lima' } }] },
      { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'call_1', content: 'rain' }] },
    ])
    expect(bodyOf(world, 'gpu')).toMatchObject({
      tools: [{ type: 'function', function: { name: 'weather', parameters: schema } }],
      messages: [
        { role: 'user' },
        { role: 'assistant', tool_calls: [{ id: 'call_1', function: { name: 'weather', arguments: '{"city":"Lima"}' } }] },
        { role: 'tool', tool_call_id: 'call_1', content: 'rain' },
      ],
    })
  })
})

describe('a JSON schema', () => {
  const asked: ReadonlyArray<readonly [dialect: string, path: string, body: object]> = [
    ['predict', '/predict', { prompt: 'x', json_schema: schema }],
    [
      'chat',
      '/v1/chat/completions',
      { messages: [user], response_format: { type: 'json_schema', json_schema: { name: 'place', schema, strict: true } } },
    ],
    [
      'responses',
      '/v1/responses',
      { input: 'x', text: { format: { type: 'json_schema', name: 'place', schema, strict: true } } },
    ],
    ['messages', '/v1/messages', { messages: [user], max_tokens: 9, output_config: { format: { type: 'json_schema', schema } } }],
    ['ollama', '/api/chat', { messages: [user], format: schema, stream: false }],
  ]
  test.each(asked)('of %s reaches the provider', async (_dialect, path, body) => {
    const world = await startServiceWorld()
    const json = '{"city":"Lima"}'
    answerAll(world, {
      claude: streams(anthropicMessage('end_turn', textBlock(0, json))),
      openai: streams(chatCompletion('stop', delta({ content: json }))),
    })
    for (const model of [claude, gpu])
      expect(JSON.stringify(await jsonOf(await world.call(path, { ...body, model })))).toContain('Lima')
    expect(bodyOf(world, 'claude')).toMatchObject({ output_config: { format: { type: 'json_schema', schema } } })
    expect(bodyOf(world, 'gpu')).toMatchObject({
      response_format: { type: 'json_schema', json_schema: { schema, strict: true } },
    })
  })
})

describe('an image', () => {
  const url = `data:image/png;base64,${pixel}`
  test.each<readonly [dialect: string, path: string, body: object]>([
    [
      'chat',
      '/v1/chat/completions',
      {
        messages: [
          {
            role: 'user',
            content: [
              { type: 'text', text: 'What?' },
              { type: 'image_url', image_url: { url } },
            ],
          },
        ],
      },
    ],
    [
      'responses',
      '/v1/responses',
      {
        input: [
          {
            role: 'user',
            content: [
              { type: 'input_text', text: 'What?' },
              { type: 'input_image', image_url: url },
            ],
          },
        ],
      },
    ],
    [
      'messages',
      '/v1/messages',
      {
        max_tokens: 9,
        messages: [
          {
            role: 'user',
            content: [
              { type: 'image', source: { type: 'base64', media_type: 'image/png', data: pixel } },
              { type: 'text', text: 'What?' },
            ],
          },
        ],
      },
    ],
    ['ollama', '/api/chat', { stream: false, messages: [{ role: 'user', content: 'What?', images: [pixel] }] }],
  ])('of %s reaches the provider', async (_dialect, path, body) => {
    const world = await startServiceWorld()
    answerAll(world, {
      claude: streams(anthropicMessage('end_turn', textBlock(0, 'A dot.'))),
      openai: streams(chatCompletion('stop', delta({ content: 'A dot.' }))),
    })
    for (const model of [claude, gpu]) expect((await world.call(path, { ...body, model })).status).toBe(200)
    expect(at(bodyOf(world, 'claude'), 'messages', 0, 'content')).toEqual([
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: pixel } },
      { type: 'text', text: 'What?' },
    ])
    expect(at(bodyOf(world, 'gpu'), 'messages', 0, 'content')).toEqual([
      { type: 'image_url', image_url: { url } },
      { type: 'text', text: 'What?' },
    ])
  })
})

describe('thoughts of Claude', () => {
  const thinks = {
    'in one block': [thinkingBlock(0, 'sig-1', 'Let me', ' see.'), toolBlock(1, 'call_1', 'weather', '{"city":"Lima"}')],
    'in several blocks': [
      thinkingBlock(0, 'sig-1', 'First.'),
      block(1, { type: 'redacted_thinking', data: 'cipher' }),
      thinkingBlock(2, 'sig-2', 'Then.'),
      toolBlock(3, 'call_1', 'weather', '{"city":"Lima"}'),
    ],
    'before and after a text': [
      thinkingBlock(0, 'sig-1', 'First.'),
      textBlock(1, 'Well.'),
      thinkingBlock(2, 'sig-2', 'Then.'),
      toolBlock(3, 'call_1', 'weather', '{"city":"Lima"}'),
    ],
    'that nobody may read': [
      block(0, { type: 'redacted_thinking', data: 'cipher' }),
      toolBlock(1, 'call_1', 'weather', '{"city":"Lima"}'),
    ],
  } as const
  const sentBack: Readonly<Record<keyof typeof thinks, readonly object[]>> = {
    'in one block': [{ type: 'thinking', thinking: 'Let me see.', signature: 'sig-1' }],
    'in several blocks': [
      { type: 'thinking', thinking: 'First.', signature: 'sig-1' },
      { type: 'redacted_thinking', data: 'cipher' },
      { type: 'thinking', thinking: 'Then.', signature: 'sig-2' },
    ],
    'before and after a text': [
      { type: 'thinking', thinking: 'First.', signature: 'sig-1' },
      { type: 'thinking', thinking: 'Then.', signature: 'sig-2' },
    ],
    'that nobody may read': [{ type: 'redacted_thinking', data: 'cipher' }],
  }
  const shapes = Object.keys(thinks) as (keyof typeof thinks)[]
  const thoughtsIn = (body: unknown) =>
    listOf(at(body, 'messages'))
      .flatMap(({ content }) => listOf(content))
      .filter(({ type }) => type === 'thinking' || type === 'redacted_thinking')

  test.each(shapes.flatMap((shape) => [true, false].map((stream) => [shape, stream] as const)))(
    '%s come back as they were by messages, stream: %s',
    async (shape, stream) => {
      const world = await startServiceWorld()
      answerAll(world, { ...calls, claude: streams(anthropicMessage('tool_use', ...thinks[shape])) })
      const tools = [{ name: 'weather', input_schema: schema }]
      const body = { model: claude, max_tokens: 9999, tools, thinking: { type: 'adaptive' } }
      const response = await world.call('/v1/messages', { ...body, messages: [user], stream })
      const content = stream ? await contentOf(response) : listOf((await jsonOf(response)).content)
      const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'call_1', content: 'rain' }] }
      const messages = [user, { role: 'assistant', content }, result]
      expect((await world.call('/v1/messages', { ...body, messages })).status).toBe(200)
      expect(thoughtsIn(bodyOf(world, 'claude'))).toEqual(sentBack[shape])
    },
  )

  test('that are not shown come back with their signature', async () => {
    const world = await startServiceWorld()
    const tools = [{ name: 'weather', input_schema: schema }]
    for (const shape of shapes) {
      answerAll(world, { ...calls, claude: streams(anthropicMessage('tool_use', ...thinks[shape])) })
      const body = { model: claude, max_tokens: 9999, tools, thinking: { type: 'adaptive', display: 'omitted' } }
      const { content } = await jsonOf(await world.call('/v1/messages', { ...body, messages: [user] }))
      const result = { role: 'user', content: [{ type: 'tool_result', tool_use_id: 'call_1', content: 'rain' }] }
      const messages = [user, { role: 'assistant', content }, result]
      expect((await world.call('/v1/messages', { ...body, messages })).status, shape).toBe(200)
      expect(thoughtsIn(bodyOf(world, 'claude'))).toEqual(sentBack[shape])
    }
  })

  const tools = [{ type: 'function', name: 'weather', parameters: schema, strict: true }]
  test.each(shapes.flatMap((shape) => [true, false].map((stream) => [shape, stream] as const)))(
    '%s come back as they were by responses, stream: %s',
    async (shape, stream) => {
      const world = await startServiceWorld()
      answerAll(world, { ...calls, claude: streams(anthropicMessage('tool_use', ...thinks[shape])) })
      for (const summary of [{}, { summary: 'auto' }]) {
        const body = { model: claude, tools, reasoning: { effort: 'high', ...summary } }
        const response = await world.call('/v1/responses', { ...body, input: 'Weather in Lima?', stream })
        const first = stream ? await lastResponseOf(response) : await jsonOf(response)
        const result = { type: 'function_call_output', call_id: 'call_1', output: 'rain' }
        expect((await world.call('/v1/responses', { ...body, previous_response_id: first.id, input: [result] })).status).toBe(200)
        expect(thoughtsIn(bodyOf(world, 'claude'))).toEqual(sentBack[shape])
        const input = [{ role: 'user', content: 'Weather in Lima?' }, ...listOf(first.output), result]
        expect((await world.call('/v1/responses', { ...body, input, store: false })).status).toBe(200)
        expect(thoughtsIn(bodyOf(world, 'claude'))).toEqual(sentBack[shape])
      }
    },
  )

  test('come as reasoning by chat and Ollama', async () => {
    const world = await startServiceWorld()
    answerAll(world, {
      ...calls,
      claude: streams(anthropicMessage('end_turn', thinkingBlock(0, 's', 'Hm.'), textBlock(1, 'Yes.'))),
    })
    const chat = await jsonOf(
      await world.call('/v1/chat/completions', { model: claude, messages: [user], reasoning_effort: 'low' }),
    )
    expect(at(chat, 'choices', 0, 'message')).toMatchObject({ reasoning_content: 'Hm.', content: 'Yes.' })
    const ollama = await jsonOf(await world.call('/api/chat', { model: claude, messages: [user], think: true, stream: false }))
    expect(at(ollama, 'message')).toMatchObject({ thinking: 'Hm.', content: 'Yes.' })
  })
})

/** What a client of Anthropic puts together from a stream. */
async function contentOf(response: Response): Promise<readonly Item[]> {
  const blocks: Record<string, unknown>[] = []
  for await (const { data } of readEvents(response)) {
    const event = JSON.parse(data)
    if (event.type === 'content_block_start') blocks[event.index] = { ...event.content_block, json: '' }
    const open = blocks[event.index]
    if (event.type !== 'content_block_delta' || open === undefined) continue
    if (event.delta.type === 'text_delta') open.text = `${open.text}${event.delta.text}`
    if (event.delta.type === 'thinking_delta') open.thinking = `${open.thinking}${event.delta.thinking}`
    if (event.delta.type === 'signature_delta') open.signature = event.delta.signature
    if (event.delta.type === 'input_json_delta') open.json = `${open.json}${event.delta.partial_json}`
  }
  return blocks.map(({ json, ...one }) => (one.type === 'tool_use' ? { ...one, input: JSON.parse(String(json)) } : one))
}

async function lastResponseOf(response: Response): Promise<Item> {
  let last: Item = {}
  for await (const { data } of readEvents(response)) last = JSON.parse(data).response ?? last
  return last
}
