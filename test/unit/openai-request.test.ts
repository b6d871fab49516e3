import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import type { GenerateRequest, ModelHost } from '../../src/engine/provider.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { type OpenaiError, openaiClient, postV1 } from '../openai-client.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

const asked: GenerateRequest[] = []
function createHost(): ModelHost {
  const fake = createFakeEngine({ answer: () => ({ pieces: ['{"a":', '1}'] }), contextSize: 3000 })
  return {
    ...fake,
    generate(request, signal) {
      asked.push(request)
      return fake.generate(request, signal)
    },
  }
}

let server: TestServer
beforeAll(async () => {
  server = await startServer({ host: createHost() })
})
afterAll(() => server[Symbol.asyncDispose]())

const messages = [{ role: 'user', content: 'Hola' }]
const chat = (body: object) => postV1(server, '/chat/completions', { messages, ...body })
const complete = (body: object) => postV1(server, '/completions', { prompt: 'x', ...body })
const errorOf = async (response: Response) => (await bodyOf<OpenaiError>(response)).error

async function requestOf(answer: Promise<Response>): Promise<GenerateRequest | undefined> {
  expect((await answer).status).toBe(200)
  return asked.at(-1)
}

describe('a chat request', () => {
  test('has the defaults of OpenAI', async () => {
    expect(await requestOf(chat({}))).toMatchObject({
      prompt: { type: 'chat', messages },
      choices: 1,
      maxTokens: undefined,
      sampling: { temperature: 0.8, topP: 0.95, topK: 40, minP: 0.05, repeatPenalty: 1, seed: undefined },
      stop: [],
    })
  })

  test.each([
    [0, 0],
    [7, 7],
    [2 ** 32 - 1, 2 ** 32 - 1],
    [2 ** 32, 1],
    [-1, 0],
    [1_795_957_656_924, 661_327_102],
    [2 ** 63, 2 ** 31],
    [-(2 ** 63), 2 ** 31],
  ])('takes the seed %d, of 64 bits, as %d', async (seed, folded) => {
    expect(await requestOf(chat({ seed, stream: true }))).toMatchObject({ sampling: { seed: folded } })
  })

  test('takes a top_p of 0, and marks for a cache', async () => {
    const cache_control = { type: 'ephemeral' }
    const content = [{ type: 'text', text: 'Hola', cache_control }]
    const tools = [{ type: 'function', function: { name: 'f' }, cache_control }]
    const request = await requestOf(chat({ messages: [{ role: 'user', content }], tools, top_p: 0 }))
    expect(request).toMatchObject({ prompt: { messages, tools: { tools: [{ name: 'f' }] } }, sampling: { topP: 0 } })
  })

  test('of a kind that is not there is told which there are, and which it named', async () => {
    const { message } = await errorOf(await chat({ tools: [{ type: 'web_search' }] }))
    expect(message).toBe('"tools.0.type" must be one of ["function"], but is "web_search".')
    const wrong = await errorOf(await chat({ messages: [{ role: 'robot', content: 'x' }] }))
    expect(wrong.message).toContain('one of ["system","developer","user","assistant","tool"], but is "robot"')
  })

  test('passes on what it says', async () => {
    const body = {
      max_tokens: 5,
      n: 2,
      temperature: 0,
      top_p: 0.5,
      top_k: 3,
      min_p: 0.1,
      repeat_penalty: 1.1,
      seed: 7,
      stop: 'a',
      frequency_penalty: 0.5,
      presence_penalty: -2,
      logit_bias: { 5: -100, 17: 1 },
      model: 'fake',
      provider: 'hf',
    }
    expect(await requestOf(chat(body))).toMatchObject({
      choices: 2,
      maxTokens: 5,
      sampling: {
        temperature: 0,
        topP: 0.5,
        topK: 3,
        minP: 0.1,
        repeatPenalty: 1.1,
        seed: 7,
        frequencyPenalty: 0.5,
        presencePenalty: -2,
        logitBias: { 5: -100, 17: 1 },
      },
      stop: ['a'],
    })
    expect(await requestOf(complete({ ...body, n: 1, logprobs: 3 }))).toMatchObject({
      logprobs: 3,
      sampling: { frequencyPenalty: 0.5, presencePenalty: -2, logitBias: { 5: -100, 17: 1 } },
    })
  })

  test('counts max_completion_tokens before the older max_tokens', async () => {
    expect(await requestOf(chat({ max_completion_tokens: 4, max_tokens: 9 }))).toMatchObject({ maxTokens: 4 })
  })

  test.each([
    ['none', 'none'],
    ['minimal', 'none'],
    ['low', 'low'],
    ['medium', 'medium'],
    ['high', 'high'],
    ['xhigh', 'high'],
  ])('has its reasoning_effort %s as %s', async (effort, reasoning) => {
    expect(await requestOf(chat({ reasoning_effort: effort }))).toMatchObject({ prompt: { reasoning } })
  })

  test('asks for log-probabilities', async () => {
    expect(await requestOf(chat({ logprobs: true }))).toMatchObject({ logprobs: 0 })
    expect(await requestOf(chat({ logprobs: true, top_logprobs: 20 }))).toMatchObject({ logprobs: 20 })
  })

  test('takes roles and parts that mean the same', async () => {
    const sent = [
      { role: 'developer', content: 'Be brief.' },
      {
        role: 'user',
        name: 'Ana',
        content: [
          { type: 'text', text: 'One' },
          { type: 'text', text: 'Two' },
        ],
      },
      { role: 'assistant', content: 'Three', refusal: null, annotations: [] },
      { role: 'user', content: '' },
    ]
    expect(await requestOf(chat({ messages: sent }))).toMatchObject({
      prompt: {
        messages: [
          { role: 'system', content: 'Be brief.' },
          { role: 'user', content: 'One\nTwo' },
          { role: 'assistant', content: 'Three' },
          { role: 'user', content: '' },
        ],
      },
    })
  })

  test('may hold what clients send for OpenAI itself', async () => {
    const harmless = {
      user: 'u',
      metadata: { a: 'b' },
      store: false,
      parallel_tool_calls: true,
      frequency_penalty: 0,
      presence_penalty: 0,
      logit_bias: {},
      logprobs: false,
      top_logprobs: 0,
      service_tier: 'auto',
      tools: [],
      tool_choice: 'none',
      response_format: { type: 'text' },
      safety_identifier: 's',
      prompt_cache_key: 'k',
      modalities: ['text'],
      verbosity: 'medium',
      prediction: { type: 'content', content: 'x' },
      prompt_cache_retention: '24h',
    }
    expect(await requestOf(chat(harmless))).not.toHaveProperty('logprobs')
    const nulls = {
      temperature: null,
      max_tokens: null,
      stop: null,
      n: null,
      stream: null,
      tools: null,
      response_format: null,
      seed: null,
    }
    expect(await requestOf(chat(nulls))).toMatchObject({ sampling: { temperature: 0.8 } })
  })
})

describe('a completion request', () => {
  test('has the defaults of OpenAI', async () => {
    expect(await requestOf(complete({}))).toMatchObject({
      prompt: { type: 'text', text: 'x' },
      maxTokens: 16,
      sampling: { temperature: 0.8 },
    })
  })

  test('may be a list of one text', async () => {
    expect(await requestOf(complete({ prompt: ['a'] }))).toMatchObject({ prompt: { text: 'a' } })
  })

  test.each<readonly [body: object, param: string]>([
    [{ prompt: [1, 2, 3] }, 'prompt.0'],
    [{ prompt: [[1, 2], [3]] }, 'prompt.0'],
    [{ prompt: ['a', ''] }, 'prompt.1'],
    [{ prompt: '' }, 'prompt'],
    [{ prompt: [] }, 'prompt'],
    [{ prompt: 5 }, 'prompt'],
    [{ prompt: Array.from({ length: 17 }, () => 'a') }, 'prompt'],
    [{ prompt: ['a', 'b'], n: 9 }, 'n'],
    [{ best_of: 2 }, 'best_of'],
    [{ suffix: 'z' }, 'suffix'],
    [{ echo: true, logprobs: 1 }, 'echo'],
    [{ logprobs: 6 }, 'logprobs'],
    [{ logprobs: true }, 'logprobs'],
  ])('%j is refused', async (body, param) => {
    const response = await complete(body)
    expect(response.status).toBe(400)
    expect(await errorOf(response)).toMatchObject({ param, code: 'invalid_value' })
  })
})

describe('response_format', () => {
  test('json_object and json_schema are what the answer must be', async () => {
    expect((await requestOf(chat({ response_format: { type: 'json_object' } })))?.format).toEqual({ type: 'json-object' })
    const schema = { type: 'object', properties: { zebra: { type: 'integer' } }, required: ['zebra'] }
    const format = { type: 'json_schema', json_schema: { name: 'z', strict: true, schema } }
    const field = 'response_format.json_schema.schema'
    expect((await requestOf(chat({ response_format: format })))?.format).toEqual({
      type: 'json-schema',
      name: 'z',
      schema,
      field,
    })
  })

  const nested = (depth: number) => `${'{"type":"array","items":'.repeat(depth)}{}${'}'.repeat(depth)}`
  const ask = (schema: string) =>
    `{"messages":[{"role":"user","content":"x"}],"response_format":{"type":"json_schema","json_schema":{"name":"x","schema":${schema}}}}`
  const field = 'response_format.json_schema.schema'
  test.each<readonly [name: string, schema: string, param: string]>([
    ['a type that is none', '{"type":123}', `${field}/type`],
    ['a broken pattern', '{"type":"string","pattern":"^a\\\\!$"}', `${field}/pattern`],
    ['an unknown reference', '{"properties":{"a":{"$ref":"#/$defs/b"}}}', `${field}/properties/a/$ref`],
    ['5000 levels', nested(5000), 'response_format'],
    ['150 levels', nested(150), field],
    ['an enum of 1 MB', JSON.stringify({ enum: Array.from({ length: 5000 }, (_, index) => `${index}`.padEnd(200, 'x')) }), field],
    ['no object', '"text"', field],
  ])('with %s is refused, quickly', async (_, schema, param) => {
    const started = performance.now()
    const response = await postV1(server, '/chat/completions', ask(schema))
    expect(performance.now() - started).toBeLessThan(1000)
    const error = await errorOf(response)
    // A body may be refused for its size alone.
    expect([400, 413]).toContain(response.status)
    if (response.status === 400) expect(error).toMatchObject({ type: 'invalid_request_error', param })
  })

  test.each([
    [{ type: 'json_schema' }, field],
    [{ type: 'json_schema', json_schema: { name: 'x' } }, field],
    [{ type: 'xml' }, 'response_format.type'],
    ['json_object', 'response_format'],
    [{ type: 'json_object', schema: {} }, 'response_format.schema'],
  ])('%j is refused', async (format, param) => {
    const response = await chat({ response_format: format })
    expect(response.status).toBe(400)
    expect(await errorOf(response)).toMatchObject({ type: 'invalid_request_error', param })
  })
})

const wrongNumbers: ReadonlyArray<readonly [field: string, value: unknown]> = [
  ...[0, -1, -2, 1.5, '10', 2_147_483_647, 1e18].map((value) => ['max_tokens', value] as const),
  ...[-1, 2.1, 1e308, '1'].map((value) => ['temperature', value] as const),
  ...[-0.1, 1.1].map((value) => ['top_p', value] as const),
  ...[0, 1_000_000].map((value) => ['n', value] as const),
  ...[0.5, 2 ** 64].map((value) => ['seed', value] as const),
  ...[-1, 1.5].map((value) => ['top_k', value] as const),
  ['stop', ''],
  ['stream', 'yes'],
  ['stream_options', { include_usage: true }],
  ['model', ''],
  ['temprature', 1],
]

describe('a field that is wrong is named', () => {
  test.each(wrongNumbers)('%s = %j', async (name, value) => {
    for (const response of [await chat({ [name]: value }), await complete({ [name]: value })]) {
      expect(response.status).toBe(400)
      expect(await errorOf(response)).toEqual({
        message: expect.stringContaining(`"${name}"`),
        type: 'invalid_request_error',
        param: name,
        code: 'invalid_value',
      })
    }
  })

  test.each([
    [{ top_logprobs: 2 }, 'top_logprobs'],
    [{ logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
    [{ logit_bias: { a: 1 } }, 'logit_bias.a'],
    [{ logit_bias: { 5: 101 } }, 'logit_bias.5'],
    [{ frequency_penalty: 2.5 }, 'frequency_penalty'],
    [{ presence_penalty: -3 }, 'presence_penalty'],
    [{ reasoning_effort: 'much' }, 'reasoning_effort'],
    [{ provider: 'mars' }, 'provider'],
    [{ functions: [{ name: 'f' }] }, 'functions'],
    [{ function_call: { name: 'f' } }, 'function_call'],
    [{ metadata: { a: 1 } }, 'metadata.a'],
  ])('%j', async (body, param) => {
    const response = await chat(body)
    expect(response.status).toBe(400)
    expect(await errorOf(response)).toMatchObject({ type: 'invalid_request_error', param })
  })

  test.each([
    [{ store: true }, 'store'],
    [{ verbosity: 'low' }, 'verbosity'],
    [{ service_tier: 'flex' }, 'service_tier'],
    [{ modalities: ['text', 'audio'] }, 'modalities'],
    [{ audio: { voice: 'x', format: 'wav' } }, 'audio'],
    [{ web_search_options: {} }, 'web_search_options'],
    [{ messages: [{ role: 'assistant', content: 'a', audio: { id: 'x' } }] }, 'messages.0.audio'],
    [
      { messages: [{ role: 'assistant', content: 'a', function_call: { name: 'f', arguments: '' } }] },
      'messages.0.function_call',
    ],
  ])('%j is not supported', async (body, param) => {
    const response = await chat(body)
    expect(response.status).toBe(400)
    expect(await errorOf(response)).toMatchObject({ message: expect.stringContaining('not supported'), param })
  })
})

describe('each failure has the shape of OpenAI', () => {
  test.each<readonly [string, string, string, number, string]>([
    ['POST', '/chat/completions', '{"messages":[{"role":"user","content":"x"}],"temperature":NaN}', 400, 'invalid_value'],
    ['POST', '/chat/completions', '', 400, 'invalid_value'],
    ['POST', '/completions', '[]', 400, 'invalid_value'],
    ['POST', '/nowhere', '{}', 404, 'unknown_url'],
    ['GET', '/chat/completions', '', 404, 'unknown_url'],
    ['GET', '/models/other', '', 404, 'model_not_found'],
  ])('%s %s %j', async (method, path, body, status, code) => {
    const init = method === 'POST' ? { method, body, headers: { 'content-type': 'application/json' } } : { method }
    const response = await fetch(`${server.url}/v1${path}`, init)
    expect(response.status).toBe(status)
    expect(response.headers.get('content-type')).toMatch(/^application\/json/)
    expect(await errorOf(response)).toEqual({
      message: expect.any(String),
      type: 'invalid_request_error',
      param: code === 'model_not_found' ? 'model' : null,
      code,
    })
  })

  test('a model that is not there', async () => {
    const response = await chat({ model: 'gpt-4o' })
    expect(response.status).toBe(404)
    expect(await errorOf(response)).toMatchObject({ type: 'invalid_request_error', param: 'model', code: 'model_not_found' })
  })

  test('a prompt that is too long, with both numbers, whole or streamed', async () => {
    for (const stream of [false, true]) {
      for (const response of [
        await chat({ messages: [{ role: 'user', content: 'x'.repeat(5000) }], stream }),
        await complete({ prompt: 'x'.repeat(5000), stream }),
      ]) {
        expect(response.status).toBe(400)
        const error = await errorOf(response)
        expect(error).toMatchObject({ type: 'invalid_request_error', code: 'context_length_exceeded' })
        expect(error.message).toMatch(/50\d\d.*3000/)
      }
    }
  })

  test('a body of another kind', async () => {
    const response = await postV1(server, '/chat/completions', 'x=1', { 'content-type': 'application/x-www-form-urlencoded' })
    expect(response.status).toBe(400)
    expect(await errorOf(response)).toMatchObject({ type: 'invalid_request_error' })
  })

  test('a token that is not good, and none where one is needed', async () => {
    const response = await postV1(server, '/chat/completions', { messages }, { authorization: 'Bearer a.b.c' })
    expect(response.status).toBe(401)
    expect(await errorOf(response)).toMatchObject({ type: 'authentication_error', param: null, code: 'invalid_api_key' })
    await using closed = await startServer({ host: createHost(), settings: { ALLOW_ANONYMOUS: 'false' } })
    for (const path of ['/models', '/nowhere']) expect((await fetch(`${closed.url}/v1${path}`)).status).toBe(401)
    const apiKey = await closed.login('ana')
    expect((await openaiClient(closed, { apiKey }).models.list()).data).toHaveLength(1)
  })

  test('too many requests, with the time to wait', async () => {
    await using limited = await startServer({ host: createHost(), settings: { RATE_LIMIT_REQUESTS: '1' } })
    expect((await postV1(limited, '/chat/completions', { messages })).status).toBe(200)
    const response = await postV1(limited, '/chat/completions', { messages })
    expect(response.status).toBe(429)
    expect(Number(response.headers.get('retry-after'))).toBeGreaterThanOrEqual(1)
    expect(await errorOf(response)).toMatchObject({ type: 'rate_limit_error', code: 'rate_limit_exceeded' })
  })

  test('the official client takes them for its own', async () => {
    const wrong = openaiClient(server).chat.completions.create({ model: 'fake', messages: [], temperature: 3 })
    await expect(wrong).rejects.toMatchObject({ status: 400, type: 'invalid_request_error' })
  })
})
