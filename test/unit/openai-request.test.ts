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
      model: 'fake',
    }
    expect(await requestOf(chat(body))).toMatchObject({
      choices: 2,
      maxTokens: 5,
      sampling: { temperature: 0, topP: 0.5, topK: 3, minP: 0.1, repeatPenalty: 1.1, seed: 7 },
      stop: ['a'],
    })
  })

  test('counts max_completion_tokens before the older max_tokens', async () => {
    expect(await requestOf(chat({ max_completion_tokens: 4, max_tokens: 9 }))).toMatchObject({ maxTokens: 4 })
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
    }
    expect((await chat(harmless)).status).toBe(200)
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
    expect(await errorOf(await complete({ prompt: ['a', 'b'] }))).toMatchObject({ param: 'prompt', code: 'invalid_value' })
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
    ['5000 levels', nested(5000), field],
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
  ...[0, 1.1].map((value) => ['top_p', value] as const),
  ...[0, 1_000_000].map((value) => ['n', value] as const),
  ...[-1, 2 ** 53].map((value) => ['seed', value] as const),
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
    [{ tools: [{ type: 'function' }] }, 'tools'],
    [{ tool_choice: 'required' }, 'tool_choice'],
    [{ logprobs: true }, 'logprobs'],
    [{ logit_bias: { 5: 1 } }, 'logit_bias'],
    [{ frequency_penalty: 0.5 }, 'frequency_penalty'],
    [{ store: true }, 'store'],
    [{ reasoning_effort: 'low' }, 'reasoning_effort'],
    [{ messages: [{ role: 'assistant', content: 'a', tool_calls: [{}] }] }, 'messages.0.tool_calls'],
  ])('%j is not supported yet', async (body, param) => {
    const response = await chat(body)
    expect(response.status).toBe(400)
    expect(await errorOf(response)).toMatchObject({ message: expect.stringContaining('not supported yet'), param })
  })

  test.each<readonly [unknown, string]>([
    [[], 'messages'],
    ['Hola', 'messages'],
    [[{ role: 'user' }], 'messages.0.content'],
    [[{ content: 'x' }], 'messages.0.role'],
    [[{ role: 'tool', content: 'x' }], 'messages.0.role'],
    [[{ role: 'user', content: 3 }], 'messages.0.content'],
    [[{ role: 'user', content: null }], 'messages.0.content'],
    [[{ role: 'user', content: [] }], 'messages.0.content'],
    [[{ role: 'user', content: [{ type: 'text' }] }], 'messages.0.content.0.text'],
    [[{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'data:' } }] }], 'messages.0.content.0.type'],
    [['x'], 'messages.0'],
  ])('messages %j', async (wrong, param) => {
    const response = await chat({ messages: wrong })
    expect(response.status).toBe(400)
    expect(await errorOf(response)).toMatchObject({ type: 'invalid_request_error', param })
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
