import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { measured } from '../measured.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

let server: TestServer
beforeAll(async () => {
  server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }) })
})
afterAll(() => server[Symbol.asyncDispose]())

const wrong: ReadonlyArray<readonly [field: string, value: unknown]> = [
  ...[0, -1, -2, 1.5, '10', 2_147_483_647, 1e18, null, [], true].map((value) => ['max_length', value] as const),
  ...[-1, 2.1, 1e308, '1', null].map((value) => ['temperature', value] as const),
  ...[1.1, -0.1].map((value) => ['top_p', value] as const),
  ...[-1, 1001, 0.5].map((value) => ['top_k', value] as const),
  ...[-0.1, 1.1].map((value) => ['min_p', value] as const),
  ...[0.4, 2.1, -1].map((value) => ['repeat_penalty', value] as const),
  ...[0, 17, 1_000_000, 1.5].map((value) => ['num_return_sequences', value] as const),
  ...[-1, 2 ** 32, 2 ** 53, 0.5].map((value) => ['seed', value] as const),
  ...['', 3, Array(17).fill('x'), 'x'.repeat(257)].map((value) => ['stop', value] as const),
  ...['', 7, ['x'], 'x'.repeat(400_001)].map((value) => ['prompt', value] as const),
  ['temprature', 1],
  ['json_schema', 'string'],
  ['provider', 'claude'],
]

describe('a parameter out of its bounds', () => {
  test.each(wrong)('%s = %j is refused by name, over HTTP and WebSocket', async (field, value) => {
    const body = { prompt: 'x', [field]: value }
    const response = await server.predict(body)
    const { error } = await bodyOf(response)
    expect(response.status).toBe(400)
    expect(error.code).toBe('invalid')
    expect(error.details?.map((detail) => detail.field)).toEqual([field])
    using socket = await server.socket()
    socket.send(body)
    expect(await socket.answer()).toEqual([{ type: 'error', error }])
  })

  test('is refused in no time, and leaves nothing running', measured, async () => {
    const times: number[] = []
    for (const [field, value] of wrong.filter(([name]) => name !== 'prompt')) {
      const startedAt = performance.now()
      await server.predict({ prompt: 'x', [field]: value })
      times.push(performance.now() - startedAt)
    }
    expect(times.sort((a, b) => a - b).at(-2)).toBeLessThan(100)
    expect(await (await fetch(`${server.url}/metrics`)).text()).toMatch(/^simpleia_generations_active 0$/m)
  })

  test('leaves the service alive', async () => {
    expect((await fetch(`${server.url}/health`)).status).toBe(200)
    expect((await server.predict({ prompt: 'x' })).status).toBe(200)
  })
})

test('a list of stop texts names the one at fault', async () => {
  const { error } = await bodyOf(await server.predict({ prompt: 'x', stop: ['a', ''] }))
  expect(error.details?.[0]?.field).toBe('stop.1')
})

test('a missing prompt is named', async () => {
  const { error } = await bodyOf(await server.predict({ temperature: 1 }))
  expect(error.details).toEqual([{ field: 'prompt', expected: 'given', got: 'missing' }])
})

test('what is not JSON, or not an object, is refused without being repeated', async () => {
  for (const body of ['{"prompt":"canary","temperature":NaN}', '{"prompt":"canary"', 'canary', '["canary"]', '"canary"', '']) {
    const response = await server.predict(body)
    expect(response.status).toBe(400)
    expect(await response.text()).not.toContain('canary')
  }
})

test('a model that is not loaded is not found', async () => {
  const response = await server.predict({ prompt: 'x', model: 'other' })
  expect([response.status, (await bodyOf(response)).error.code]).toEqual([404, 'not_found'])
})

test('the loaded model and provider may be named', async () => {
  const { model_name: model } = await bodyOf<{ model_name: string }>(await fetch(`${server.url}/model`))
  expect((await server.predict({ prompt: 'x', model, provider: 'hf' })).status).toBe(200)
})

test('a JSON schema is what the answer must be; one that cannot be kept to is refused', async () => {
  const formats: unknown[] = []
  const host = createFakeEngine({ answer: () => ({ pieces: ['a'] }) })
  const listening = {
    ...host,
    generate: (...[request, signal]: Parameters<typeof host.generate>) => {
      formats.push(request.format)
      return host.generate(request, signal)
    },
  }
  await using other = await startServer({ host: listening })
  expect((await other.predict({ prompt: 'x', json_schema: { type: 'object' } })).status).toBe(200)
  expect(formats).toEqual([{ type: 'json-schema', schema: { type: 'object' }, field: 'json_schema' }])
  const refused = await other.predict({ prompt: 'x', json_schema: { type: 123 } })
  expect([refused.status, (await bodyOf(refused)).error.code]).toEqual([400, 'invalid'])
})

test('the bounds are in the API description', async () => {
  const description = await bodyOf<object>(await fetch(`${server.url}/openapi.json`))
  const schema = ['paths', '/predict', 'post', 'requestBody', 'content', 'application/json', 'schema']
  expect(description).toHaveProperty([...schema, 'additionalProperties'], false)
  expect(description).toHaveProperty([...schema, 'properties', 'max_length'], {
    type: 'integer',
    minimum: 1,
    maximum: 1_048_576,
    default: 512,
    description: expect.stringContaining('NEW tokens'),
  })
})
