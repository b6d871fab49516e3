import { describe, expect, test } from 'vitest'
import type { GenerateEvent, GenerateRequest } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { calling, saying, tokenOf } from '../answer-scripts.ts'
import { type OpenaiError, openaiClient, postV1, streamV1 } from '../openai-client.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { bodyOf, startServer } from '../server.ts'

const model = 'scripted'
const messages = [{ role: 'user' as const, content: 'What is the weather in Oslo?' }]
const parameters = { type: 'object', properties: { city: { type: ['string', 'null'], default: null } }, required: ['city'] }
const tools = [
  { type: 'function' as const, function: { name: 'weather', description: 'Tells the weather.', parameters, strict: true } },
]
const oslo = ['call_1', 'weather', '{"city":"Oslo"}'] as const

async function open(answer: (request: GenerateRequest) => Iterable<GenerateEvent>) {
  const host = createScriptedHost(answer)
  const server = await startServer({ host })
  return { host, server, client: openaiClient(server), [Symbol.asyncDispose]: server[Symbol.asyncDispose] }
}

const toolsOf = (request: GenerateRequest | undefined) => (request?.prompt.type === 'chat' ? request.prompt.tools : undefined)

describe('functions', () => {
  test('are offered to the model as they were described, nulls in their schemas included', async () => {
    await using world = await open(() => saying('ok'))
    await world.client.chat.completions.create({ model, messages, tools, parallel_tool_calls: false })
    const field = 'tools.0.function.parameters'
    const tool = { name: 'weather', field, description: 'Tells the weather.', parameters }
    expect(toolsOf(world.host.asked[0])).toEqual({ tools: [tool], choice: 'auto', parallel: false })
  })

  const other = { type: 'function' as const, function: { name: 'other' } }
  test.each([
    ['none', 'none', ['weather', 'other']],
    ['auto', 'auto', ['weather', 'other']],
    ['required', 'required', ['weather', 'other']],
    [{ type: 'function', function: { name: 'other' } }, { name: 'other' }, ['weather', 'other']],
    [{ type: 'allowed_tools', allowed_tools: { mode: 'required', tools: [other] } }, 'required', ['other']],
  ])('tool_choice %j', async (given, choice, names) => {
    await using world = await open(() => saying('ok'))
    expect(
      (await postV1(world.server, '/chat/completions', { messages, tools: [...tools, other], tool_choice: given })).status,
    ).toBe(200)
    const asked = toolsOf(world.host.asked[0])
    expect(asked).toMatchObject({ choice, parallel: true })
    expect(asked?.tools.map(({ name }) => name)).toEqual(names)
  })

  test.each<readonly [body: object, param: string]>([
    [{ tools: [{ type: 'function' }] }, 'tools.0.function'],
    [{ tools: [{ type: 'function', function: {} }] }, 'tools.0.function.name'],
    [{ tools: [{ type: 'function', function: { name: 'a b' } }] }, 'tools.0.function.name'],
    [{ tools: [{ type: 'function', function: { name: 'f', parameters: 'x' } }] }, 'tools.0.function.parameters'],
    [{ tools: [{ type: 'custom', custom: { name: 'f' } }] }, 'tools.0.type'],
    [{ tools: [{ function: { name: 'f' } }] }, 'tools.0.type'],
    [{ tools: 'f' }, 'tools'],
    [{ tools: [...tools, ...tools] }, 'tools'],
    [{ tools, tool_choice: 'any' }, 'tool_choice'],
    [{ tools, tool_choice: { type: 'function', function: { name: 'g' } } }, 'tool_choice'],
    [{ tools, tool_choice: { type: 'custom', custom: { name: 'g' } } }, 'tool_choice.type'],
    [{ tool_choice: 'required' }, 'tool_choice'],
    [{ tool_choice: { type: 'function', function: { name: 'f' } } }, 'tool_choice'],
  ])('%j is refused', async (body, param) => {
    await using world = await open(() => saying('ok'))
    const response = await postV1(world.server, '/chat/completions', { messages, ...body })
    const { error } = await bodyOf<OpenaiError>(response)
    expect({ status: response.status, error }).toMatchObject({ status: 400, error: { type: 'invalid_request_error', param } })
  })

  test('are called in OpenAI’s form, whole and streamed', async () => {
    await using world = await open(() => calling(oslo, ['call_2', 'weather', '{"city":null}']))
    const whole = await world.client.chat.completions.create({ model, messages, tools })
    const called = (id: string, written: string) => ({ id, type: 'function', function: { name: 'weather', arguments: written } })
    expect(whole.choices).toEqual([
      {
        index: 0,
        message: {
          role: 'assistant',
          content: null,
          refusal: null,
          tool_calls: [called('call_1', '{"city":"Oslo"}'), called('call_2', '{"city":null}')],
        },
        logprobs: null,
        finish_reason: 'tool_calls',
      },
    ])
    const { chunks } = await streamV1(world.server, '/chat/completions', { messages, tools })
    const deltas = chunks.flatMap(({ choices }) => choices).map(({ delta }) => delta)
    expect(deltas).toEqual([
      { role: 'assistant', content: null, refusal: null },
      { tool_calls: [{ index: 0, ...called('call_1', '') }] },
      { tool_calls: [{ index: 0, function: { arguments: '{"cit' } }] },
      { tool_calls: [{ index: 0, function: { arguments: 'y":"Oslo"}' } }] },
      { tool_calls: [{ index: 1, ...called('call_2', '') }] },
      { tool_calls: [{ index: 1, function: { arguments: '{"cit' } }] },
      { tool_calls: [{ index: 1, function: { arguments: 'y":null}' } }] },
      {},
    ])
    expect(chunks.flatMap(({ choices }) => choices).map((choice) => choice.finish_reason)).toEqual([
      ...Array.from({ length: 7 }, () => null),
      'tool_calls',
    ])
  })

  test.each([false, true])('are run by the official client, and answered from (stream: %j)', async (stream) => {
    await using world = await open(({ prompt }) => {
      const last = prompt.type === 'chat' ? prompt.messages.at(-1) : undefined
      return last?.role === 'tool' ? saying('It is ', last.content) : calling(oslo)
    })
    const run = {
      type: 'function' as const,
      function: {
        name: 'weather',
        description: 'Tells the weather.',
        parameters,
        parse: (written: string): { city: string } => JSON.parse(written),
        function: ({ city }: { city: string }) => `cold in ${city}`,
      },
    }
    const { completions } = world.client.chat
    const asked = { model, messages, tools: [run] }
    const runner = stream ? completions.runTools({ ...asked, stream }) : completions.runTools({ ...asked, stream })
    expect(await runner.finalContent()).toBe('It is cold in Oslo')
    expect(world.host.asked[1]?.prompt).toMatchObject({
      messages: [
        messages[0],
        { role: 'assistant', toolCalls: [{ id: 'call_1', name: 'weather', arguments: '{"city":"Oslo"}' }] },
        { role: 'tool', content: 'cold in Oslo', toolCallId: 'call_1' },
      ],
    })
  })

  test('are parsed by the official client’s stream helper', async () => {
    await using world = await open(() => calling(oslo))
    const stream = world.client.chat.completions.stream({ model, messages, tools })
    const done: unknown[] = []
    stream.on('tool_calls.function.arguments.done', ({ name, parsed_arguments: parsed }) => done.push([name, parsed]))
    const { choices } = await stream.finalChatCompletion()
    expect(choices[0]?.message).toMatchObject({
      content: null,
      tool_calls: [{ function: { name: 'weather', parsed_arguments: { city: 'Oslo' } } }],
    })
    expect(done).toEqual([['weather', { city: 'Oslo' }]])
  })
})

describe('a JSON schema', () => {
  const schema = { type: 'object', properties: { a: { type: 'integer' } }, required: ['a'], additionalProperties: false }
  const format = { type: 'json_schema' as const, json_schema: { name: 'answer', strict: true, schema } }

  test('is kept to, and the answer parsed by the official client, whole and streamed', async () => {
    await using world = await open(() => saying('{"a"', ':1}'))
    const asked = { model, messages, response_format: format }
    const whole = await world.client.chat.completions.parse(asked)
    expect(whole.choices[0]?.message.parsed).toEqual({ a: 1 })
    const streamed = await world.client.chat.completions.stream(asked).finalChatCompletion()
    expect(streamed.choices[0]?.message.parsed).toEqual({ a: 1 })
    const expected = { type: 'json-schema', name: 'answer', schema, field: 'response_format.json_schema.schema' }
    expect(world.host.asked.map((request) => request.format)).toEqual([expected, expected])
  })
})

describe('log-probabilities', () => {
  const answer = (): GenerateEvent[] => [
    { type: 'text-delta', index: 0, text: 'Hé', tokens: [tokenOf('H'), tokenOf('é')] },
    { type: 'text-delta', index: 0, text: '!', tokens: [tokenOf('!', -2)] },
    { type: 'choice-end', index: 0, reason: 'stop' },
    generationEnd(),
  ]

  test('come with each token, whole and streamed', async () => {
    await using world = await open(answer)
    const asked = { model, messages, logprobs: true, top_logprobs: 2 }
    const { choices } = await world.client.chat.completions.create(asked)
    const content = choices[0]?.logprobs?.content ?? []
    expect(choices[0]?.logprobs?.refusal).toBeNull()
    expect(content.map(({ token }) => token).join('')).toBe(choices[0]?.message.content)
    expect(content[1]).toEqual({
      token: 'é',
      logprob: -0.5,
      bytes: [0xc3, 0xa9],
      top_logprobs: [
        { token: 'é', logprob: -0.5, bytes: [0xc3, 0xa9] },
        // JSON has no infinity.
        { token: 'other', logprob: -9999, bytes: [...Buffer.from('other')] },
      ],
    })
    const streamed = []
    for await (const chunk of await world.client.chat.completions.create({ ...asked, stream: true }))
      streamed.push(...(chunk.choices[0]?.logprobs?.content ?? []))
    expect(streamed).toEqual(content)
    expect(world.host.asked.map(({ logprobs }) => logprobs)).toEqual([2, 2])
  })
})

describe('what the model thinks', () => {
  const answer = (): GenerateEvent[] => [
    { type: 'reasoning-delta', index: 0, text: 'One and ' },
    { type: 'reasoning-delta', index: 0, text: 'one.', signature: 's' },
    { type: 'text-delta', index: 0, text: 'Two' },
    { type: 'choice-end', index: 0, reason: 'stop' },
    {
      type: 'generation-end',
      usage: { promptTokens: 7, completionTokens: 5, cachedPromptTokens: 2, reasoningTokens: 4 },
      timings: { queueMs: 0, promptMs: 0, firstTokenMs: 0, generationMs: 0, tokensPerSecond: 0 },
    },
  ]

  test('comes apart from the answer, and is counted', async () => {
    await using world = await open(answer)
    const { choices, usage } = await world.client.chat.completions.create({ model, messages })
    expect(choices[0]?.message).toMatchObject({ content: 'Two', reasoning_content: 'One and one.' })
    expect(usage).toEqual({
      prompt_tokens: 7,
      completion_tokens: 5,
      total_tokens: 12,
      prompt_tokens_details: { cached_tokens: 2 },
      completion_tokens_details: { reasoning_tokens: 4 },
    })
    const { chunks } = await streamV1(world.server, '/chat/completions', { messages })
    expect(chunks.flatMap((chunk) => chunk.choices).map(({ delta }) => delta)).toEqual([
      { role: 'assistant', content: null, refusal: null },
      { reasoning_content: 'One and ' },
      { reasoning_content: 'one.' },
      { content: 'Two' },
      {},
    ])
  })
})

test('include_usage gives one chunk more, and null on all others, with calls too', async () => {
  await using world = await open(() => calling(oslo))
  const { chunks } = await streamV1(world.server, '/chat/completions', { messages, stream_options: { include_usage: true } })
  expect(chunks.slice(0, -1).every(({ usage }) => usage === null)).toBe(true)
  expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { total_tokens: 10 } })
})

test('a stream that is left in its middle frees the model', async () => {
  let isFree = false
  await using world = await open(function* () {
    try {
      for (;;) yield { type: 'text-delta', index: 0, text: 'x' }
    } finally {
      isFree = true
    }
  })
  const stream = world.client.chat.completions.stream({ model, messages })
  stream.on('content', (_delta, snapshot) => {
    if (snapshot.length > 3) stream.abort()
  })
  await expect(stream.done()).rejects.toThrow('aborted')
  await expect.poll(() => isFree, { timeout: 1000 }).toBe(true)
})

test('a cut answer has its reason', async () => {
  for (const [reason, expected] of [
    ['length', 'length'],
    ['content-filter', 'content_filter'],
  ] as const) {
    await using world = await open(() => [{ type: 'choice-end', index: 0, reason }, generationEnd()])
    const { choices } = await world.client.chat.completions.create({ model, messages })
    expect(choices[0]).toMatchObject({ message: { content: '' }, finish_reason: expected })
    const { chunks } = await streamV1(world.server, '/chat/completions', { messages })
    expect(chunks.at(-1)?.choices[0]?.finish_reason).toBe(expected)
  }
})

test('a quota that is used up is told once: the official client does not ask again', async () => {
  await using world = await open(() => {
    throw new AppError('quota_exceeded', 'The quota is used up.', { retryAfterSeconds: 1 })
  })
  const patient = openaiClient(world.server, { maxRetries: 2 })
  await expect(patient.chat.completions.create({ model, messages })).rejects.toMatchObject({
    status: 429,
    type: 'insufficient_quota',
    code: 'insufficient_quota',
    requestID: expect.any(String),
  })
  expect(world.host.asked).toHaveLength(1)
})
