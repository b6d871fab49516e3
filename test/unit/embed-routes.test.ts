import { expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { openaiClient } from '../openai-client.ts'
import { bodyOf, startServer } from '../server.ts'

const start = (settings: Record<string, string> = {}) =>
  startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['x'] }) }), settings })

async function post(url: string, path: string, body: unknown) {
  const response = await fetch(url + path, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: response.status, ...(await bodyOf<{ embeddings?: number[][]; error?: unknown }>(response)) }
}

test('texts become vectors of unit length, in their order', async () => {
  await using server = await start()
  const answer = await post(server.url, '/embed/encode', { texts: ['a', 'ñandú'] })
  expect(answer).toMatchObject({
    status: 200,
    dimensions: 3,
    model: 'fake-embedder',
    truncated: [false, false],
    usage: { prompt_tokens: 6, total_tokens: 6 },
    ran_on: 'local',
  })
  expect(answer.embeddings?.map((vector) => vector.length)).toEqual([3, 3])
  for (const vector of answer.embeddings ?? []) expect(Math.hypot(...vector)).toBeCloseTo(1, 6)
})

test.each([
  [{}, 'texts'],
  [{ texts: [] }, 'texts'],
  [{ texts: [''] }, 'texts'],
  [{ texts: 'a' }, 'texts'],
  [{ texts: ['a'], truncated: true }, 'truncated'],
  [{ texts: Array(2049).fill('a') }, 'texts'],
  [{ texts: ['a'], purpose: 'search' }, 'purpose'],
])('%j is refused with the field', async (body, field) => {
  await using server = await start()
  const answer = await post(server.url, '/embed/encode', body)
  expect(answer.status).toBe(400)
  expect(JSON.stringify(answer.error)).toContain(field)
})

test('a model is asked for by its name; one that is not there is a 404 with those that are', async () => {
  await using server = await start()
  expect(await post(server.url, '/embed/encode', { texts: ['a'], model: 'fake-embedder', purpose: 'query' })).toMatchObject({
    status: 200,
    model: 'fake-embedder',
  })
  expect(await post(server.url, '/embed/encode', { texts: ['a'], model: 'other' })).toMatchObject({
    status: 404,
    error: { code: 'not_found', message: expect.stringContaining('"fake-embedder"') },
  })
})

test('a caller without a name is refused where names are asked for', async () => {
  await using server = await start({ ALLOW_ANONYMOUS: 'false' })
  expect((await post(server.url, '/embed/encode', { texts: ['a'] })).status).toBe(401)
  expect((await post(server.url, '/v1/embeddings', { model: 'fake-embedder', input: 'a' })).status).toBe(401)
})

test("OpenAI's client has the same vectors as floats and as base64, which it asks for itself", async () => {
  await using server = await start()
  const { embeddings } = openaiClient(server)
  const byDefault = await embeddings.create({ model: 'fake-embedder', input: ['a', 'bc'] })
  const floats = await embeddings.create({ model: 'fake-embedder', input: ['a', 'bc'], encoding_format: 'float' })
  expect(byDefault).toMatchObject({ object: 'list', model: 'fake-embedder', usage: { prompt_tokens: 3, total_tokens: 3 } })
  expect(byDefault.data.map(({ index, object }) => [index, object])).toEqual([
    [0, 'embedding'],
    [1, 'embedding'],
  ])
  const rounded = (data: typeof floats.data) => data.map(({ embedding }) => embedding.map((value) => Math.fround(value)))
  expect(rounded(byDefault.data)).toEqual(rounded(floats.data))
  expect(floats.data[0]?.embedding).toHaveLength(3)
  expect((await embeddings.create({ model: 'fake-embedder', input: 'a', dimensions: 3 })).data).toHaveLength(1)
})

test.each([
  [{ input: 'a', dimensions: 2 }, 'dimensions', 'as many as the model has (3)'],
  [{ input: [1, 2] }, 'input.0', 'tokens would be those of another model'],
  [{ input: ['a', [1]] }, 'input.1', 'tokens would be those of another model'],
  [{ input: ['a', ''] }, 'input.1', 'a text of 1 to 1000000 characters'],
])('as OpenAI %j names %s and says what it must be', async (body, param, expected) => {
  await using server = await start()
  const answer = await post(server.url, '/v1/embeddings', { model: 'fake-embedder', ...body })
  expect(answer).toMatchObject({ status: 400, error: { param, message: expect.stringContaining(expected) } })
})

test.each([
  [{ model: 'other', input: 'a' }, 404],
  [{ model: 'fake-embedder', input: 'a', dimensions: 2 }, 400],
  [{ model: 'fake-embedder', input: [1, 2, 3] }, 400],
  [{ model: 'fake-embedder', input: [[1, 2], [3]] }, 400],
  [{ model: 'fake-embedder', input: '' }, 400],
  [{ model: 'fake-embedder', input: [] }, 400],
  [{ model: 'fake-embedder', input: 'a', encoding_format: 'hex' }, 400],
  [{ input: 'a' }, 400],
])('as OpenAI %j is refused with %d', async (body, status) => {
  await using server = await start()
  expect(await post(server.url, '/v1/embeddings', body)).toMatchObject({ status, error: { message: expect.any(String) } })
})
