import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import type { ChatMessage, ChatPrompt, GenerateRequest } from '../../src/engine/provider.ts'
import { collect } from '../../src/predict/collect.ts'
import { type CloudServer, refuses, says, startCloudServer, streams } from '../cloud-server.ts'
import {
  anthropicMessage,
  anthropicSse,
  messageEnd,
  messageStart,
  textBlock,
  thinkingBlock,
  toolBlock,
} from '../cloud-transcripts.ts'
import { ask, chooses, createCloudWorld, kinds, never, secret, usualSampling } from '../cloud-world.ts'

let server: CloudServer
beforeEach(async () => {
  server = await startCloudServer(streams(kinds.claude.hello))
})
afterEach(async () => {
  vi.unstubAllEnvs()
  await server.close()
})

const chat = (messages: readonly ChatMessage[], more: Partial<ChatPrompt> = {}): GenerateRequest =>
  ask({ prompt: { type: 'chat', messages, ...more } })
const hi: ChatMessage = { role: 'user', content: 'Hi' }
const weather = { name: 'weather', description: 'Tells it', parameters: { properties: { city: { type: 'string' } } } }

async function answerOf(request: GenerateRequest, model = 'test-model') {
  const { provider } = createCloudWorld('claude', [server.url], { models: [{ name: model }] })
  return collect(provider.generate({ ...request, model }, never))
}

/** What is sent for a request. */
async function sent(request: GenerateRequest, model?: string) {
  await answerOf(request, model)
  const last = server.requests.at(-1)
  return { body: last?.body, version: last?.headers['anthropic-version'] }
}

describe('what Claude is sent', () => {
  test('no sampling, in its current version, where nothing unusual is asked', async () => {
    const { body, version } = await sent(ask())
    expect(body).toEqual({
      model: 'test-model',
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Hi' }] }],
      max_tokens: 4096,
      stream: true,
    })
    expect(version).toBe('2026-10-21')
    const usual = chooses({ temperature: 1, topP: 1, topK: 0, minP: 0, repeatPenalty: 1 })
    expect(await sent(ask({ sampling: usual }))).toEqual({ body, version })
    expect((await sent(ask({ sampling: { ...usualSampling, temperature: 0 } }))).body).toEqual(body)
  })

  test('chosen sampling, in the last version that takes it', async () => {
    const { body, version } = await sent(ask({ sampling: chooses({ temperature: 0, topK: 5 }) }))
    expect(body).toMatchObject({ temperature: 0, top_k: 5 })
    expect(body).not.toHaveProperty('top_p')
    expect(version).toBe('2023-06-01')
  })

  test('what the caller chose, also where it is the default of this service', async () => {
    const sampling = chooses({ temperature: 0.8, topP: 0.95, topK: 40 })
    expect((await sent(ask({ sampling }))).body).toMatchObject({ temperature: 0.8, top_p: 0.95, top_k: 40 })
    await expect(answerOf(ask({ sampling: chooses({ minP: 0.05 }) }))).rejects.toMatchObject({ details: [{ field: 'min_p' }] })
  })

  test.each([
    ['temperature', { temperature: 1.5 }],
    ['min_p', { minP: 0.2 }],
    ['repeat_penalty', { repeatPenalty: 1.1 }],
    ['frequency_penalty', { frequencyPenalty: 1 }],
    ['presence_penalty', { presencePenalty: -1 }],
    ['logit_bias', { logitBias: { 5: 1 } }],
    ['seed', { seed: 3 }],
  ])('never what it cannot honour: %s', async (field, sampling) => {
    const asked = answerOf(ask({ sampling: chooses(sampling) }))
    await expect(asked).rejects.toMatchObject({ code: 'invalid', details: [{ field }] })
    expect(server.requests).toEqual([])
  })

  test('no several answers, and no log-probabilities', async () => {
    await expect(answerOf(ask({ choices: 2 }))).rejects.toMatchObject({ details: [{ field: 'n' }] })
    await expect(answerOf(ask({ logprobs: 0 }))).rejects.toMatchObject({ details: [{ field: 'logprobs' }] })
  })

  test('a whole conversation, with its tools, results, images and thoughts', async () => {
    const { body } = await sent(
      chat(
        [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'Where?', images: ['data:image/gif;base64,AAAA', 'data:image/png;base64,AAAA'] },
          {
            role: 'assistant',
            content: 'I look.',
            reasoning: 'Hm.',
            reasoningSignature: 'c2ln',
            toolCalls: [
              { id: 'a', name: 'weather', arguments: '{"city":"Lima"}' },
              { id: 'b', name: 'weather', arguments: '' },
            ],
          },
          { role: 'tool', content: 'Sun', toolCallId: 'a' },
          { role: 'tool', content: 'Rain', toolCallId: 'b' },
          { role: 'user', content: 'So?' },
          { role: 'system', content: 'In Spanish.' },
          { role: 'assistant', content: 'Pues', reasoning: 'of another model' },
        ],
        { tools: { tools: [weather], choice: 'required', parallel: false } },
      ),
    )
    expect(body).toMatchObject({
      system: [
        { type: 'text', text: 'Be brief.' },
        { type: 'text', text: 'In Spanish.' },
      ],
      messages: [
        {
          role: 'user',
          content: [
            { type: 'image', source: { type: 'base64', media_type: 'image/gif', data: 'AAAA' } },
            { type: 'image', source: { type: 'base64', media_type: 'image/png', data: 'AAAA' } },
            { type: 'text', text: 'Where?' },
          ],
        },
        {
          role: 'assistant',
          content: [
            { type: 'thinking', thinking: 'Hm.', signature: 'c2ln' },
            { type: 'text', text: 'I look.' },
            { type: 'tool_use', id: 'a', name: 'weather', input: { city: 'Lima' } },
            { type: 'tool_use', id: 'b', name: 'weather', input: {} },
          ],
        },
        {
          role: 'user',
          content: [
            { type: 'tool_result', tool_use_id: 'a', content: 'Sun' },
            { type: 'tool_result', tool_use_id: 'b', content: 'Rain' },
            { type: 'text', text: 'So?' },
          ],
        },
        { role: 'assistant', content: [{ type: 'text', text: 'Pues' }] },
      ],
      tools: [{ name: 'weather', description: 'Tells it', input_schema: { type: 'object', ...weather.parameters } }],
      tool_choice: { type: 'any', disable_parallel_tool_use: true },
    })
  })

  test.each([
    ['auto', { type: 'auto', disable_parallel_tool_use: false }],
    ['none', { type: 'none' }],
    [{ name: 'weather' }, { type: 'tool', name: 'weather', disable_parallel_tool_use: false }],
  ] as const)('the choice of a tool: %j', async (choice, expected) => {
    const { body } = await sent(chat([hi], { tools: { tools: [weather], choice, parallel: true } }))
    expect(body).toMatchObject({ tool_choice: expected })
  })

  test('no arguments that are none, and no images that it does not see', async () => {
    const call = { id: 'a', name: 'weather', arguments: '[1]' }
    await expect(answerOf(chat([hi, { role: 'assistant', content: '', toolCalls: [call] }]))).rejects.toMatchObject({
      code: 'invalid',
    })
    const image: ChatMessage = { role: 'user', content: '', images: ['data:image/tiff;base64,AAAA'] }
    await expect(answerOf(chat([image]))).rejects.toMatchObject({ code: 'invalid' })
  })

  test('an effort, in the words of its generation', async () => {
    const asked = chat([hi], { reasoning: 'medium' })
    const adaptive = { thinking: { type: 'adaptive', display: 'summarized' }, output_config: { effort: 'medium' } }
    expect((await sent(asked, 'claude-opus-5-5')).body).toMatchObject(adaptive)
    expect((await sent(asked, 'claude-sonnet-4-6')).body).toMatchObject(adaptive)
    const budget = (await sent({ ...asked, maxTokens: 3000 }, 'claude-haiku-4-5-20251001')).body
    expect(budget).toMatchObject({ thinking: { type: 'enabled', budget_tokens: 1500 }, max_tokens: 3000 })
    expect(budget).not.toHaveProperty('output_config')
    const thinks = { thinking: { type: 'enabled', budget_tokens: 4096 } }
    expect((await sent({ ...asked, maxTokens: 9000 }, 'claude-sonnet-4-20250514')).body).toMatchObject(thinks)
    expect((await sent(chat([hi], { reasoning: 'none' }))).body).toMatchObject({ thinking: { type: 'disabled' } })
    const noLimit = (await sent(asked, 'claude-sonnet-4-20250514')).body
    expect(noLimit).toMatchObject({ ...thinks, max_tokens: 8192 })
    await expect(answerOf({ ...asked, maxTokens: 1024 }, 'claude-3-7-sonnet-latest')).rejects.toMatchObject({ code: 'invalid' })
    const hot = { ...asked, sampling: chooses({ temperature: 0.2 }) }
    await expect(answerOf(hot)).rejects.toMatchObject({ details: [{ field: 'temperature' }] })
  })

  test('at most as many tokens as the model writes', async () => {
    const { provider } = createCloudWorld('claude', [server.url], { models: [{ name: 'test-model', maxOutputTokens: 100 }] })
    for (const maxTokens of [undefined, 500, 50]) await collect(provider.generate(ask({ maxTokens }), never))
    expect(server.requests.map(({ body }) => body)).toMatchObject([{ max_tokens: 100 }, { max_tokens: 100 }, { max_tokens: 50 }])
  })

  test('a schema as it stands', async () => {
    const schema = { type: 'object', properties: {}, additionalProperties: false }
    const { body } = await sent(ask({ format: { type: 'json-schema', schema, field: 'json_schema' } }))
    expect(body).toMatchObject({ output_config: { format: { type: 'json_schema', schema } } })
  })

  test('without a word on the console of models that will be gone', async () => {
    const warn = vi.spyOn(console, 'warn').mockImplementation(() => {})
    await sent(chat([hi], { reasoning: 'low' }), 'claude-opus-4-6')
    await sent(ask(), 'claude-opus-4-5')
    expect(warn).not.toHaveBeenCalled()
    warn.mockRestore()
  })

  test('its key in the header of the version that is spoken', async () => {
    await answerOf(ask())
    const { headers } = await server.request(0)
    expect([headers['anthropic-version'], headers.authorization, headers['x-api-key']]).toEqual([
      '2026-10-21',
      `Bearer ${secret}`,
      undefined,
    ])
    await answerOf(ask({ sampling: chooses({ temperature: 0.5 }) }))
    const { headers: older } = await server.request(1)
    expect([older['anthropic-version'], older.authorization, older['x-api-key']]).toEqual(['2023-06-01', undefined, secret])
  })

  test('nothing that the environment holds', async () => {
    vi.stubEnv('ANTHROPIC_BASE_URL', 'http://127.0.0.1:1')
    vi.stubEnv('ANTHROPIC_AUTH_TOKEN', 'foreign-token')
    vi.stubEnv('ANTHROPIC_API_KEY', 'foreign-key')
    vi.stubEnv('ANTHROPIC_CUSTOM_HEADERS', 'authorization: foreign\nx-foreign: 1\nanthropic-version: 1')
    await answerOf(ask())
    expect(JSON.stringify((await server.request(0)).headers)).not.toContain('foreign')
  })
})

describe('what Claude answers', () => {
  test('thoughts come with the signature under which they are sent back', async () => {
    server.answer(streams(anthropicMessage('tool_use', thinkingBlock(0, 'c2ln', 'Let me', ' see'), toolBlock(1, 'a', 'weather'))))
    const { choices } = await answerOf(ask())
    expect(choices).toMatchObject([{ reasoning: 'Let me see', reasoningSignature: 'c2ln', reason: 'tool-calls' }])
  })

  test.each([
    ['max_tokens', 'length'],
    ['model_context_window_exceeded', 'length'],
    ['refusal', 'content-filter'],
    ['tool_use', 'tool-calls'],
  ])('the end %s is %s', async (told, reason) => {
    server.answer(streams(anthropicMessage(told, textBlock(0, 'Well'))))
    expect((await answerOf(ask())).choices).toMatchObject([{ reason, text: 'Well' }])
  })

  test('an end that nobody knows is an error', async () => {
    server.answer(streams(anthropicMessage('bored', textBlock(0, 'Well'))))
    await expect(answerOf(ask())).rejects.toMatchObject({ code: 'upstream', message: expect.stringContaining('bored') })
  })

  test('the stop text that ended it', async () => {
    server.answer(streams(anthropicSse(messageStart(), ...textBlock(0, 'One'), ...messageEnd('stop_sequence', {}, 'Two'))))
    expect((await answerOf(ask({ stop: ['Two'] }))).choices).toMatchObject([{ reason: 'stop', stopText: 'Two' }])
  })

  test('a stop text of spaces, which its API does not take, ends the answer all the same', async () => {
    server.answer(streams(anthropicMessage('end_turn', textBlock(0, 'One\n', '\nTwo', ' three'))))
    const { choices, usage } = await answerOf(ask({ stop: ['\n\n'] }))
    expect(choices).toMatchObject([{ text: 'One', reason: 'stop', stopText: '\n\n' }])
    expect(usage.completionTokens).toBe(15)
    expect(server.requests[0]?.body).not.toHaveProperty('stop_sequences')
  })

  test('JSON of any kind, by the input of a tool', async () => {
    server.answer(streams(anthropicMessage('tool_use', toolBlock(0, 'a', 'json_answer', '{"a"', ':1}'))))
    const request = ask({ format: { type: 'json-object' } })
    expect((await answerOf(request)).choices).toMatchObject([{ text: '{"a":1}', toolCalls: [], reason: 'stop' }])
    expect(server.requests[0]?.body).toMatchObject({ tool_choice: { type: 'tool', name: 'json_answer' } })
  })

  test('counts the tokens that it read from its cache, and those that it thought', async () => {
    const start = { input_tokens: 5, cache_creation_input_tokens: 10, cache_read_input_tokens: 100, output_tokens: 1 }
    const end = { output_tokens: 50, output_tokens_details: { thinking_tokens: 30 }, input_tokens: null }
    server.answer(streams(anthropicSse(messageStart(start), ...textBlock(0, 'x'), ...messageEnd('end_turn', end))))
    expect((await answerOf(ask())).usage).toEqual({
      promptTokens: 115,
      completionTokens: 50,
      cachedPromptTokens: 100,
      reasoningTokens: 30,
    })
  })

  test('an error in the middle, by its kind', async () => {
    const error = (type: string) => ({ type: 'error', error: { type, message: 'Too much' } })
    server.answer(streams(anthropicSse(messageStart(), ...textBlock(0, 'x'), error('overloaded_error'))))
    await expect(answerOf(ask())).rejects.toMatchObject({ code: 'upstream' })
    server.answer(streams(anthropicSse(messageStart(), ...textBlock(0, 'x'), error('rate_limit_error'))))
    await expect(answerOf(ask())).rejects.toMatchObject({ code: 'rate_limited' })
  })

  test('a prompt that is too long', async () => {
    const error = { type: 'invalid_request_error', message: 'prompt is too long: 200001 tokens > 200000 maximum' }
    server.answer(refuses(400, { type: 'error', error }))
    await expect(answerOf(ask())).rejects.toMatchObject({ code: 'context_length_exceeded' })
  })
})

describe('counting', () => {
  test('asks Claude', async () => {
    server.answer(refuses(200, { input_tokens: 14 }))
    const { provider, egress } = createCloudWorld('claude', [server.url])
    const { prompt } = chat([hi], { tools: { tools: [weather], choice: 'auto', parallel: true } })
    expect(await provider.countTokens({ model: 'test-model', prompt, user: 'user:1' }, never)).toBe(14)
    const { path, body } = await server.request(0)
    expect(path).toBe('/v1/messages/count_tokens')
    expect(body).not.toHaveProperty('max_tokens')
    expect(egress.calls).toMatchObject([{ ended: true }])
  })

  test('is not taken in by nonsense', async () => {
    const { provider } = createCloudWorld('claude', [server.url], { maxRetries: 0 })
    const { prompt } = ask()
    for (const script of [refuses(200, { tokens: 1 }), says(200, 'application/json', '{'), says(200, 'text/html', 'Hi')]) {
      server.answer(script)
      await expect(provider.countTokens({ model: 'm', prompt, user: 'u' }, never)).rejects.toMatchObject({ code: 'upstream' })
    }
  })

  test.each(['openai', 'custom'] as const)('is refused by %s', async (kind) => {
    const { provider } = createCloudWorld(kind, [server.url])
    const counting = provider.countTokens({ model: 'm', prompt: ask().prompt, user: 'u' }, never)
    await expect(counting).rejects.toMatchObject({
      code: 'invalid',
      message: `The provider "${kind}" cannot count tokens beforehand.`,
    })
  })
})
