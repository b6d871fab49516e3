import type OpenAI from 'openai'
import { describe, expect, test } from 'vitest'
import type { GenerateEvent, GenerateRequest } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { calling, saying, tokenOf } from '../answer-scripts.ts'
import { type OpenaiError, openaiClient, postV1 } from '../openai-client.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { bodyOf, startServer } from '../server.ts'
import { readEvents } from '../sse-parser.ts'

const model = 'scripted'
const parameters = { type: 'object', properties: { city: { type: ['string', 'null'], default: null } }, required: ['city'] }
const tools = [{ type: 'function' as const, name: 'weather', description: 'Tells the weather.', parameters, strict: true }]
const oslo = ['call_1', 'weather', '{"city":"Oslo"}'] as const
const pixel = 'data:image/png;base64,iVBORw0KGgo='

async function open(answer: (request: GenerateRequest) => Iterable<GenerateEvent> = () => saying('ok')) {
  const host = createScriptedHost(answer)
  const server = await startServer({ host })
  const post = (body: object) => postV1(server, '/responses', body)
  const messagesOf = async (input: unknown) => {
    const response = await post({ input })
    expect({ status: response.status, text: await response.text() }).toMatchObject({ status: 200 })
    const prompt = host.asked.at(-1)?.prompt
    return prompt?.type === 'chat' ? prompt.messages : undefined
  }
  return { host, server, post, messagesOf, client: openaiClient(server), [Symbol.asyncDispose]: server[Symbol.asyncDispose] }
}

describe('the official client', () => {
  test('gets a text, and repeats what it asked with', async () => {
    await using world = await open(() => saying('Hello ', 'you'))
    const response = await world.client.responses.create({
      model,
      input: 'Hi',
      instructions: 'Be brief.',
      temperature: 0,
      max_output_tokens: 9,
      metadata: { a: 'b' },
    })
    expect(response).toMatchObject({
      id: expect.stringMatching(/^resp_./),
      object: 'response',
      status: 'completed',
      output_text: 'Hello you',
      output: [
        { type: 'message', role: 'assistant', status: 'completed', content: [{ type: 'output_text', text: 'Hello you' }] },
      ],
      instructions: 'Be brief.',
      temperature: 0,
      max_output_tokens: 9,
      metadata: { a: 'b' },
      error: null,
      usage: { input_tokens: 7, output_tokens: 3, total_tokens: 10 },
    })
    expect(world.host.asked[0]).toMatchObject({
      prompt: {
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'Hi' },
        ],
      },
      maxTokens: 9,
      sampling: { temperature: 0 },
    })
  })

  test('is sent the events in the order that OpenAI has', async () => {
    await using world = await open(() => [
      { type: 'reasoning-delta', index: 0, text: 'Hm.' },
      { type: 'text-delta', index: 0, text: 'Let me ' },
      { type: 'text-delta', index: 0, text: 'see.' },
      ...calling(oslo),
    ])
    const types: string[] = []
    for await (const event of await world.client.responses.create({ model, input: 'x', tools, stream: true }))
      types.push(event.type)
    const item = (...inner: string[]) => ['output_item.added', ...inner, 'output_item.done']
    const part = (...inner: string[]) => item('content_part.added', ...inner, 'content_part.done')
    expect(types).toEqual(
      [
        'created',
        'in_progress',
        ...part('reasoning_text.delta', 'reasoning_text.done'),
        ...part('output_text.delta', 'output_text.delta', 'output_text.done'),
        ...item('function_call_arguments.delta', 'function_call_arguments.delta', 'function_call_arguments.done'),
        'completed',
      ].map((type) => `response.${type}`),
    )
  })

  test('is sent each event under its name, without [DONE]', async () => {
    await using world = await open(() => saying('a'))
    let last = ''
    for await (const { event, data } of readEvents(await world.post({ input: 'x', stream: true }))) {
      expect(JSON.parse(data)).toMatchObject({ type: event })
      last = event
    }
    expect(last).toBe('response.completed')
  })

  test.each([false, true])('sends back what a function has given (stream: %j)', async (stream) => {
    await using world = await open(({ prompt }) => {
      const last = prompt.type === 'chat' ? prompt.messages.at(-1) : undefined
      return last?.role === 'tool' ? saying('It is ', last.content) : calling(oslo)
    })
    const ask = async (body: { input: string | OpenAI.Responses.ResponseInput }) =>
      stream
        ? await world.client.responses.stream({ model, tools, ...body }).finalResponse()
        : await world.client.responses.parse({ model, tools, ...body })
    const first = await ask({ input: 'Oslo?' })
    const [call] = first.output
    expect(call).toMatchObject({ type: 'function_call', call_id: 'call_1', name: 'weather', parsed_arguments: { city: 'Oslo' } })
    const output = { type: 'function_call_output' as const, call_id: 'call_1', output: 'cold' }
    // The items go back as the client holds them, with what it has added.
    const second = await ask({
      input: [{ role: 'user', content: 'Oslo?' }, ...first.output.filter((item) => item.type === 'function_call'), output],
    })
    expect(second.output_text).toBe('It is cold')
    expect(world.host.asked[1]?.prompt).toMatchObject({
      messages: [
        { role: 'user', content: 'Oslo?' },
        { role: 'assistant', content: '', toolCalls: [{ id: 'call_1', name: 'weather', arguments: '{"city":"Oslo"}' }] },
        { role: 'tool', content: 'cold', toolCallId: 'call_1' },
      ],
      tools: { tools: [{ name: 'weather', description: 'Tells the weather.', parameters }], choice: 'auto', parallel: true },
    })
  })

  test('parses what a JSON schema gives', async () => {
    await using world = await open(() => saying('{"a"', ':1}'))
    const schema = { type: 'object', properties: { a: { type: 'integer' } } }
    const text = { format: { type: 'json_schema' as const, name: 'answer', strict: true, schema } }
    expect((await world.client.responses.parse({ model, input: 'x', text })).output_parsed).toEqual({ a: 1 })
    const stream = world.client.responses.stream({ model, input: 'x', text })
    expect((await stream.finalResponse()).output_parsed).toEqual({ a: 1 })
    expect(world.host.asked[1]?.format).toEqual({ type: 'json-schema', name: 'answer', schema, field: 'text.format.schema' })
  })

  test('gets log-probabilities when it includes them', async () => {
    await using world = await open(() => [
      { type: 'text-delta', index: 0, text: 'Hi', tokens: [tokenOf('Hi')] },
      { type: 'choice-end', index: 0, reason: 'stop' },
      generationEnd(),
    ])
    const response = await world.client.responses.create({
      model,
      input: 'x',
      include: ['message.output_text.logprobs'],
      top_logprobs: 2,
    })
    expect(response.output).toMatchObject([{ content: [{ logprobs: [{ token: 'Hi', logprob: -0.5, top_logprobs: [{}, {}] }] }] }])
    expect(world.host.asked[0]?.logprobs).toBe(2)
  })

  test('counts the tokens of a prompt', async () => {
    await using world = await open()
    const { input_tokens: count } = await world.client.responses.inputTokens.count({ model, input: 'Hi', instructions: 'x' })
    expect(count).toBeGreaterThan(0)
    expect(world.host.asked).toEqual([])
  })
})

describe('reasoning', () => {
  const thinking = (): GenerateEvent[] => [
    { type: 'reasoning-delta', index: 0, text: 'One and ' },
    { type: 'reasoning-delta', index: 0, text: 'one.', signature: 'signed' },
    ...saying('Two'),
  ]

  test('comes as an item of its own, with its signature, and goes back into the next prompt', async () => {
    await using world = await open(thinking)
    const { output } = await world.client.responses.create({ model, input: 'x', reasoning: { effort: 'high' } })
    expect(output[0]).toMatchObject({
      type: 'reasoning',
      summary: [],
      content: [{ type: 'reasoning_text', text: 'One and one.' }],
      encrypted_content: 'signed',
    })
    expect(world.host.asked[0]?.prompt).toMatchObject({ reasoning: 'high' })
    expect(await world.messagesOf([{ role: 'user', content: 'x' }, ...output, { role: 'user', content: 'y' }])).toEqual([
      { role: 'user', content: 'x' },
      { role: 'assistant', content: 'Two', reasoning: 'One and one.', reasoningSignature: 'signed' },
      { role: 'user', content: 'y' },
    ])
  })

  test('comes as a summary when one is asked for, streamed too', async () => {
    await using world = await open(thinking)
    const asked = { model, input: 'x', reasoning: { summary: 'auto' as const } }
    const summary = [{ type: 'summary_text', text: 'One and one.' }]
    expect((await world.client.responses.create(asked)).output[0]).toMatchObject({ type: 'reasoning', summary, content: [] })
    const stream = world.client.responses.stream(asked)
    let streamed = ''
    for await (const event of stream) if (event.type === 'response.reasoning_summary_text.delta') streamed += event.delta
    expect(streamed).toBe('One and one.')
    expect((await stream.finalResponse()).output[0]).toMatchObject({ type: 'reasoning', summary })
  })
})

describe('a response that does not come to its own end', () => {
  test.each([
    ['length', 'max_output_tokens'],
    ['content-filter', 'content_filter'],
  ] as const)('%s is incomplete', async (reason, expected) => {
    await using world = await open(() => [
      { type: 'text-delta', index: 0, text: 'Hel' },
      { type: 'choice-end', index: 0, reason },
      generationEnd(),
    ])
    const expectation = { status: 'incomplete', incomplete_details: { reason: expected }, output: [{ status: 'incomplete' }] }
    expect(await world.client.responses.create({ model, input: 'x' })).toMatchObject(expectation)
    const stream = world.client.responses.stream({ model, input: 'x' })
    expect(await stream.finalResponse()).toMatchObject(expectation)
  })

  test('fails in its stream with what there was, and is not kept', async () => {
    await using world = await open(function* () {
      yield { type: 'text-delta', index: 0, text: 'Hel' }
      throw new AppError('unavailable', 'The engine died.')
    })
    const stream = world.client.responses.stream({ model, input: 'x' })
    const response = await stream.finalResponse()
    expect(response).toMatchObject({
      status: 'failed',
      error: { code: 'server_error', message: 'The engine died.' },
      output: [{ status: 'incomplete', content: [{ text: 'Hel' }] }],
    })
    await expect(world.client.responses.retrieve(response.id)).rejects.toMatchObject({ status: 404 })
  })

  test('before its first piece is an ordinary error', async () => {
    // biome-ignore lint/correctness/useYield: it fails at once.
    await using world = await open(function* () {
      throw new AppError('context_length_exceeded', 'Too long.')
    })
    for (const stream of [false, true]) {
      const response = await world.post({ input: 'x', stream })
      expect(response.status).toBe(400)
      expect(await bodyOf<OpenaiError>(response)).toMatchObject({ error: { code: 'context_length_exceeded' } })
    }
  })

  test('is stopped when its reader leaves, and is not kept', async () => {
    let isFree = false
    await using world = await open(function* () {
      try {
        for (;;) yield { type: 'text-delta', index: 0, text: 'x' }
      } finally {
        isFree = true
      }
    })
    let id = ''
    for await (const event of await world.client.responses.create({ model, input: 'x', stream: true })) {
      if (event.type === 'response.created') id = event.response.id
      if (event.type === 'response.output_text.delta') break
    }
    await expect.poll(() => isFree, { timeout: 1000 }).toBe(true)
    await expect(world.client.responses.retrieve(id)).rejects.toMatchObject({ status: 404 })
  })
})

describe('an input', () => {
  test('holds messages of all roles, in short or in full, and images', async () => {
    await using world = await open()
    const input = [
      { role: 'developer', content: 'Be brief.' },
      {
        type: 'message',
        role: 'user',
        content: [
          { type: 'input_text', text: 'What is it?' },
          { type: 'input_image', image_url: pixel, detail: 'auto' },
        ],
      },
      {
        role: 'assistant',
        id: 'msg_1',
        status: 'completed',
        phase: null,
        content: [{ type: 'output_text', text: 'A dot.', annotations: [] }],
      },
      { role: 'user', content: 'Sure?' },
    ]
    expect(await world.messagesOf(input)).toEqual([
      { role: 'system', content: 'Be brief.' },
      { role: 'user', content: 'What is it?', images: [pixel] },
      { role: 'assistant', content: 'A dot.' },
      { role: 'user', content: 'Sure?' },
    ])
  })

  test('joins what belongs to one turn of the assistant', async () => {
    await using world = await open()
    const call = (id: string) => ({ type: 'function_call', call_id: id, name: 'f', arguments: '{}' })
    const input = [
      { role: 'user', content: 'x' },
      { type: 'reasoning', summary: [{ type: 'summary_text', text: 'Hm.' }] },
      { role: 'assistant', content: 'Wait.' },
      call('a'),
      call('b'),
      { type: 'function_call_output', call_id: 'b', output: '2' },
      { type: 'function_call_output', call_id: 'a', output: [{ type: 'input_text', text: '1' }] },
      { type: 'reasoning', summary: [], content: [{ type: 'reasoning_text', text: 'Forgotten.' }] },
      { role: 'user', content: 'y' },
    ]
    const toolCalls = [
      { id: 'a', name: 'f', arguments: '{}' },
      { id: 'b', name: 'f', arguments: '{}' },
    ]
    expect(await world.messagesOf(input)).toEqual([
      { role: 'user', content: 'x' },
      { role: 'assistant', content: 'Wait.', toolCalls, reasoning: 'Hm.' },
      { role: 'tool', content: '2', toolCallId: 'b' },
      { role: 'tool', content: '1', toolCallId: 'a' },
      { role: 'user', content: 'y' },
    ])
  })
})

const user = { role: 'user', content: 'x' }
const withPart = (role: string, part: object) => ({ input: [{ role, content: [part] }] })

describe('what is wrong, or not supported, is refused by name', () => {
  test.each<readonly [body: object, param: string]>([
    [{}, 'input'],
    [{ input: [] }, 'input'],
    [{ input: 5 }, 'input'],
    [{ input: ['x'] }, 'input.0'],
    [{ input: [{}] }, 'input.0.type'],
    [{ input: [{ type: 'web_search_call', id: 'x' }] }, 'input.0.type'],
    [{ input: [{ role: 'user' }] }, 'input.0.content'],
    [{ input: [{ role: 'tool', content: 'x' }] }, 'input.0.role'],
    [{ input: [{ ...user, mood: 'good' }] }, 'input.0.mood'],
    [withPart('user', { type: 'input_file', file_id: 'x' }), 'input.0.content.0.type'],
    [withPart('user', { type: 'input_image', file_id: 'x' }), 'input.0.content.0.image_url'],
    [withPart('user', { type: 'input_image', image_url: 'http://example.com/' }), 'input.0.content.0.image_url'],
    [withPart('system', { type: 'input_image', image_url: pixel }), 'input.0.content'],
    [withPart('assistant', { type: 'input_image', image_url: pixel }), 'input.0.content'],
    [{ input: [user, { type: 'function_call', call_id: 'a', name: 'f' }] }, 'input.1.arguments'],
    [{ input: [user, { type: 'function_call_output', call_id: 'a', output: '1' }] }, 'input.1.call_id'],
    [{ input: [{ type: 'reasoning', summary: [] }] }, 'input'],
    [{ input: 'x', tools: [{ type: 'web_search' }] }, 'tools.0.type'],
    [{ input: 'x', tools: [{ type: 'file_search', vector_store_ids: [] }] }, 'tools.0.type'],
    [{ input: 'x', tools: [{ type: 'function', function: { name: 'f' } }] }, 'tools.0.name'],
    [{ input: 'x', tools, tool_choice: { type: 'function', name: 'g' } }, 'tool_choice'],
    [{ input: 'x', tools, tool_choice: { type: 'web_search_preview' } }, 'tool_choice.type'],
    [{ input: 'x', tool_choice: 'required' }, 'tool_choice'],
    [{ input: 'x', background: true }, 'background'],
    [{ input: 'x', conversation: 'conv_1' }, 'conversation'],
    [{ input: 'x', prompt: { id: 'pmpt_1' } }, 'prompt'],
    [{ input: 'x', truncation: 'auto' }, 'truncation'],
    [{ input: 'x', context_management: [{ type: 'compaction' }] }, 'context_management'],
    [{ input: 'x', service_tier: 'flex' }, 'service_tier'],
    [{ input: 'x', text: { verbosity: 'low' } }, 'text.verbosity'],
    [{ input: 'x', text: { format: { type: 'json_schema', name: 'a' } } }, 'text.format.schema'],
    [{ input: 'x', text: { format: { type: 'xml' } } }, 'text.format.type'],
    [{ input: 'x', reasoning: { effort: 'much' } }, 'reasoning.effort'],
    [{ input: 'x', reasoning: { summary: 'concise' } }, 'reasoning.summary'],
    [{ input: 'x', include: ['everything'] }, 'include.0'],
    [{ input: 'x', top_logprobs: 21 }, 'top_logprobs'],
    [{ input: 'x', max_output_tokens: 0 }, 'max_output_tokens'],
    [{ input: 'x', stream_options: {} }, 'stream_options'],
    [{ input: 'x', n: 2 }, 'n'],
    [{ input: 'x', store: 'yes' }, 'store'],
  ])('%j', async (body, param) => {
    await using world = await open()
    for (const stream of 'stream_options' in body ? [false] : [false, true]) {
      const response = await world.post({ ...body, stream })
      const { error } = await bodyOf<OpenaiError>(response)
      expect({ status: response.status, error }).toMatchObject({ status: 400, error: { type: 'invalid_request_error', param } })
    }
    expect(world.host.asked).toEqual([])
  })

  test('what changes nothing is not', async () => {
    await using world = await open()
    const harmless = {
      background: false,
      truncation: 'disabled',
      service_tier: 'auto',
      text: { format: { type: 'text' }, verbosity: 'medium' },
      include: ['reasoning.encrypted_content', 'web_search_call.action.sources'],
      max_tool_calls: 5,
      user: 'u',
      prompt_cache_key: 'k',
      client_metadata: { installation: 'x' },
      conversation: null,
      previous_response_id: null,
      tools: [],
      tool_choice: 'auto',
      reasoning: { effort: null, summary: null },
    }
    expect((await world.post({ input: 'x', ...harmless })).status).toBe(200)
  })
})
