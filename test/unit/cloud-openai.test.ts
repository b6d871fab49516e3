import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ChatMessage, ChatPrompt, GenerateRequest } from '../../src/engine/provider.ts'
import { collect } from '../../src/predict/collect.ts'
import { type CloudServer, refuses, startCloudServer, streams } from '../cloud-server.ts'
import { callDelta, chatCompletion, delta, done, finish, usageChunk } from '../cloud-transcripts.ts'
import { ask, chooses, createCloudWorld, type Kind, kinds, listEvents, never, usualSampling } from '../cloud-world.ts'

let server: CloudServer
beforeEach(async () => {
  server = await startCloudServer(streams(kinds.openai.hello))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await server.close()
})

const chat = (messages: readonly ChatMessage[], more: Partial<ChatPrompt> = {}): GenerateRequest =>
  ask({ prompt: { type: 'chat', messages, ...more } })
const hi: ChatMessage = { role: 'user', content: 'Hi' }
const weather = { name: 'weather', parameters: { type: 'object', properties: {} } }

async function answerOf(request: GenerateRequest, kind: Kind = 'openai') {
  return collect(createCloudWorld(kind, [server.url]).provider.generate(request, never))
}

async function sent(request: GenerateRequest, kind: Kind = 'openai') {
  await answerOf(request, kind)
  return server.requests.at(-1)?.body
}

describe('what OpenAI is sent', () => {
  const usual = {
    model: 'test-model',
    messages: [{ role: 'user', content: 'Hi' }],
    stream: true,
    stream_options: { include_usage: true },
  }

  test('no sampling where nothing unusual is asked, and that it keeps nothing', async () => {
    expect(await sent(ask())).toEqual({ ...usual, store: false })
    expect(await sent(ask(), 'custom')).toEqual(usual)
    const notChosen = { ...usualSampling, temperature: 0 }
    expect(await sent(ask({ sampling: notChosen }))).toEqual({ ...usual, store: false })
  })

  test('what the caller chose, also where it is the default of this service, and a server that cuts by default that it is not to', async () => {
    const body = await sent(ask({ sampling: chooses({ temperature: 0.8, topP: 0.95, repeatPenalty: 1 }) }))
    expect(body).toEqual({ ...usual, temperature: 0.8, top_p: 0.95, store: false })
    await expect(answerOf(ask({ sampling: chooses({ topK: 40 }) }))).rejects.toMatchObject({ details: [{ field: 'top_k' }] })
    const off = chooses({ temperature: 1, topP: 1, topK: 0, minP: 0, repeatPenalty: 1 })
    expect(await sent(ask({ sampling: off }))).toEqual({ ...usual, store: false })
    const told = { temperature: 1, top_p: 1, top_k: 0, min_p: 0, repeat_penalty: 1, repetition_penalty: 1 }
    expect(await sent(ask({ sampling: off }), 'custom')).toEqual({ ...usual, ...told })
  })

  test('what it knows of sampling', async () => {
    const sampling = chooses({
      temperature: 0,
      topP: 0.5,
      frequencyPenalty: 1,
      presencePenalty: -1,
      logitBias: { 50256: -100 },
      seed: 7,
    })
    expect(await sent(ask({ sampling, maxTokens: 9, choices: 1, stop: ['a', 'b'], logprobs: 2 }))).toMatchObject({
      temperature: 0,
      top_p: 0.5,
      frequency_penalty: 1,
      presence_penalty: -1,
      logit_bias: { 50256: -100 },
      seed: 7,
      max_completion_tokens: 9,
      stop: ['a', 'b'],
      logprobs: true,
      top_logprobs: 2,
    })
  })

  test.each([
    ['top_k', { topK: 5 }],
    ['min_p', { minP: 0.2 }],
    ['repeat_penalty', { repeatPenalty: 1.1 }],
  ])('never %s, which only compatible servers take', async (field, more) => {
    const request = ask({ sampling: chooses(more), maxTokens: 9 })
    await expect(answerOf(request)).rejects.toMatchObject({ code: 'invalid', details: [{ field }] })
    expect(await sent(request, 'custom')).toMatchObject({ [field]: Object.values(more)[0], max_tokens: 9 })
  })

  test('never more stop texts than it takes, nor a beginning that it cannot continue', async () => {
    const many = ask({ stop: ['a', 'b', 'c', 'd', 'e'] })
    await expect(answerOf(many)).rejects.toMatchObject({ details: [{ field: 'stop' }] })
    expect(await sent(many, 'custom')).toMatchObject({ stop: ['a', 'b', 'c', 'd', 'e'] })
    const begun = chat([hi, { role: 'assistant', content: 'Well' }])
    await expect(answerOf(begun)).rejects.toMatchObject({ details: [{ field: 'messages' }] })
    expect(await sent(begun, 'custom')).toMatchObject({ messages: [{}, { role: 'assistant', content: 'Well' }] })
  })

  test('a whole conversation, with its tools, results and images', async () => {
    const prompt = chat(
      [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Where?', images: ['data:image/png;base64,AAAA'] },
        { role: 'assistant', content: '', reasoning: 'Hm.', toolCalls: [{ id: 'a', name: 'weather', arguments: '{}' }] },
        { role: 'tool', content: 'Sun', toolCallId: 'a' },
      ],
      { tools: { tools: [weather], choice: { name: 'weather' }, parallel: false }, reasoning: 'low' },
    )
    const call = {
      role: 'assistant',
      content: null,
      tool_calls: [{ id: 'a', type: 'function', function: { name: 'weather', arguments: '{}' } }],
    }
    const messages = [
      { role: 'system', content: 'Be brief.' },
      {
        role: 'user',
        content: [
          { type: 'image_url', image_url: { url: 'data:image/png;base64,AAAA' } },
          { type: 'text', text: 'Where?' },
        ],
      },
      call,
      { role: 'tool', tool_call_id: 'a', content: 'Sun' },
    ]
    expect(await sent(prompt)).toEqual({
      ...usual,
      store: false,
      messages,
      tools: [{ type: 'function', function: weather }],
      tool_choice: { type: 'function', function: { name: 'weather' } },
      parallel_tool_calls: false,
      reasoning_effort: 'low',
    })
    expect(await sent(prompt, 'custom')).toMatchObject({ messages: [{}, {}, { ...call, reasoning_content: 'Hm.' }, {}] })
  })

  test('the form of the answer', async () => {
    expect(await sent(ask({ format: { type: 'json-object' } }))).toMatchObject({ response_format: { type: 'json_object' } })
    const schema = { type: 'object' }
    expect(await sent(ask({ format: { type: 'json-schema', schema, field: 'x', name: 'person' } }))).toMatchObject({
      response_format: { type: 'json_schema', json_schema: { name: 'person', schema, strict: true } },
    })
  })

  test('nothing that the environment holds', async () => {
    vi.stubEnv('OPENAI_BASE_URL', 'http://127.0.0.1:1')
    vi.stubEnv('OPENAI_API_KEY', 'foreign-key')
    vi.stubEnv('OPENAI_ADMIN_KEY', 'foreign-key')
    vi.stubEnv('OPENAI_ORG_ID', 'foreign-org')
    vi.stubEnv('OPENAI_PROJECT_ID', 'foreign-project')
    vi.stubEnv('OPENAI_CUSTOM_HEADERS', 'authorization: foreign\nx-foreign: 1')
    await answerOf(ask())
    expect(JSON.stringify((await server.request(0)).headers)).not.toContain('foreign')
  })

  test('no key where there is none', async () => {
    await listEvents(createCloudWorld('custom', [server.url], { apiKey: undefined }).provider)
    expect((await server.request(0)).headers).not.toHaveProperty('authorization')
  })
})

describe('what OpenAI answers', () => {
  test('several answers, each to its end', async () => {
    const piece = (index: number, content: string) =>
      delta({}, {}).replace('"index":0,"delta":{}', `"index":${index},"delta":${JSON.stringify({ content })}`)
    const all = [piece(0, 'A'), piece(1, 'B'), piece(0, 'a'), finish('stop'), finish('length', 1), usageChunk(), done]
    server.answer(streams(all.join('')))
    expect((await answerOf(ask({ choices: 2 }))).choices).toMatchObject([
      { text: 'Aa', reason: 'stop' },
      { text: 'B', reason: 'length' },
    ])
    server.answer(streams(all.toSpliced(4, 1).join('')))
    await expect(answerOf(ask({ choices: 2 }))).rejects.toMatchObject({ code: 'upstream' })
    await expect(answerOf(ask())).rejects.toMatchObject({ code: 'upstream' })
  })

  test.each(['reasoning_content', 'reasoning'])('thoughts, as servers call them: %s', async (field) => {
    server.answer(streams(chatCompletion('stop', delta({ [field]: 'Hm.' }), delta({ content: 'Yes' }))))
    expect((await answerOf(ask(), 'custom')).choices).toMatchObject([{ reasoning: 'Hm.', text: 'Yes' }])
  })

  test('a refusal is content that was filtered', async () => {
    server.answer(streams(chatCompletion('stop', delta({ refusal: 'I cannot.' }))))
    expect((await answerOf(ask())).choices).toMatchObject([{ text: 'I cannot.', reason: 'content-filter' }])
    server.answer(streams(chatCompletion('content_filter')))
    expect((await answerOf(ask())).choices).toMatchObject([{ reason: 'content-filter' }])
  })

  test('log-probabilities, where they were asked for', async () => {
    const content = [{ token: 'é', logprob: -0.5, bytes: null, top_logprobs: [{ token: 'é', logprob: -0.5, bytes: [195, 169] }] }]
    server.answer(streams(chatCompletion('stop', delta({ content: 'é' }, { logprobs: { content } }))))
    const top = { text: 'é', bytes: [195, 169], logprob: -0.5 }
    expect((await answerOf(ask({ logprobs: 1 }))).choices).toMatchObject([{ tokens: [{ ...top, top: [top] }] }])
    expect((await answerOf(ask())).choices).toMatchObject([{ tokens: [] }])
  })

  test('calls that a server does not number, or to which it gives no name of their own', async () => {
    const call = (id: string | undefined, name: string) => delta({ tool_calls: [{ id, function: { name, arguments: '{}' } }] })
    server.answer(streams(chatCompletion('stop', call('a', 'one'), call('b', 'two'))))
    expect((await answerOf(ask(), 'custom')).choices).toMatchObject([
      {
        reason: 'tool-calls',
        toolCalls: [
          { id: 'a', name: 'one', arguments: '{}' },
          { id: 'b', name: 'two' },
        ],
      },
    ])
    server.answer(streams(chatCompletion('tool_calls', call(undefined, 'one'))))
    expect((await answerOf(ask(), 'custom')).choices).toMatchObject([
      { toolCalls: [{ id: expect.stringMatching(/^call_\w{32}$/) }] },
    ])
  })

  test('calls without a name, or mixed with each other, are errors', async () => {
    server.answer(streams(chatCompletion('tool_calls', callDelta(0, { id: 'a', function: { arguments: '{}' } }))))
    await expect(answerOf(ask())).rejects.toMatchObject({ code: 'upstream' })
    const begin = (index: number, id: string) => callDelta(index, { id, function: { name: 'x', arguments: '' } })
    const mixed = [begin(0, 'a'), begin(1, 'b'), callDelta(0, { function: { arguments: '{}' } })]
    server.answer(streams(chatCompletion('tool_calls', ...mixed)))
    await expect(answerOf(ask())).rejects.toMatchObject({ code: 'upstream' })
  })

  test('its count of tokens', async () => {
    const usage = {
      prompt_tokens: 9,
      completion_tokens: 8,
      prompt_tokens_details: { cached_tokens: 4 },
      completion_tokens_details: { reasoning_tokens: 3 },
    }
    server.answer(streams([delta({ content: 'x' }), finish('stop'), usageChunk(usage), done].join('')))
    const counted = { promptTokens: 9, completionTokens: 8, cachedPromptTokens: 4, reasoningTokens: 3 }
    expect((await answerOf(ask())).usage).toEqual(counted)
  })

  test.each([
    ['none', ''],
    ['one half', usageChunk({ prompt_tokens: 9, completion_tokens: null })],
    ['zeros in their place', usageChunk({ prompt_tokens: 0, completion_tokens: 0 })],
  ])('counts of tokens: where it gives %s, they are estimated, and the ledger knows none', async (_case, told) => {
    server.answer(streams([delta({ content: 'x'.repeat(40) }), finish('stop'), told, done].join('')))
    const { provider, egress } = createCloudWorld('openai', [server.url])
    const request = ask({ prompt: { type: 'text', text: 'y'.repeat(80) } })
    const { usage } = await collect(provider.generate(request, never))
    expect(usage).toEqual({ promptTokens: 20, completionTokens: 10, cachedPromptTokens: 0 })
    expect(egress.calls).toMatchObject([{ usage: undefined, ended: true }])
  })

  test('the stop text that ended it, where a server tells', async () => {
    const end = delta({}).replace('"finish_reason":null', '"finish_reason":"stop","stop_reason":"Two"')
    server.answer(streams([delta({ content: 'One' }), end, done].join('')))
    expect((await answerOf(ask({ stop: ['Two'] }), 'custom')).choices).toMatchObject([{ reason: 'stop', stopText: 'Two' }])
  })

  test('an error in the middle, an end that nobody knows, an account without credit', async () => {
    server.answer(streams(`${delta({ content: 'x' })}data: {"error":{"message":"Boom","type":"server_error"}}\n\n`))
    await expect(answerOf(ask())).rejects.toMatchObject({ code: 'upstream' })
    server.answer(streams(chatCompletion('bored')))
    await expect(answerOf(ask())).rejects.toMatchObject({ code: 'upstream' })
    server.answer(refuses(429, { error: { message: 'No', type: 'insufficient_quota', code: 'insufficient_quota' } }))
    await expect(answerOf(ask())).rejects.toMatchObject({ code: 'upstream', message: expect.stringContaining('credit') })
  })

  test.each([
    { error: { message: 'Too long', code: 'context_length_exceeded' } },
    { error: { message: 'the request exceeds the available context size', type: 'exceed_context_size_error', code: 400 } },
    { object: 'error', message: "This model's maximum context length is 4096 tokens.", code: 400 },
  ])('a prompt that is too long: %j', async (body) => {
    server.answer(refuses(400, body))
    await expect(answerOf(ask(), 'custom')).rejects.toMatchObject({ code: 'context_length_exceeded' })
  })

  test('a model that Ollama does not have', async () => {
    server.answer(refuses(404, { error: 'model "test-model" not found' }))
    await expect(answerOf(ask(), 'custom')).rejects.toMatchObject({ code: 'not_found' })
  })
})
