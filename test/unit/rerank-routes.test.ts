import { expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { bodyOf, startServer } from '../server.ts'

const start = (parts: object = {}) => startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['x'] }) }), ...parts })

async function post(url: string, body: unknown) {
  const response = await fetch(`${url}/v1/rerank`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  })
  return { status: response.status, ...(await bodyOf<{ results?: unknown }>(response)) }
}

const documents = ['no word of it', 'a red house', 'a red boat', { text: 'a red house on a hill' }]

test('documents come back best first, with their place in the request; equal ones in its order', async () => {
  await using server = await start()
  expect(await post(server.url, { query: 'red house', documents })).toMatchObject({
    status: 200,
    model: 'fake-reranker',
    results: [
      { index: 1, relevance_score: 1 },
      { index: 3, relevance_score: 1 },
      { index: 2, relevance_score: 0.5 },
      { index: 0, relevance_score: 0 },
    ],
    usage: { prompt_tokens: 91, total_tokens: 91 },
  })
})

test('fewer when that is asked, and with their texts when that is', async () => {
  await using server = await start()
  const body = { model: 'fake-reranker', query: 'red house', documents, top_n: 2, return_documents: true }
  const { results } = await post(server.url, body)
  expect(results).toEqual([
    { index: 1, relevance_score: 1, document: { text: 'a red house' } },
    { index: 3, relevance_score: 1, document: { text: 'a red house on a hill' } },
  ])
})

test.each([
  [{ query: 'a', documents: ['a'], model: 'other' }, 404],
  [{ query: 'a', documents: [] }, 400],
  [{ query: '', documents: ['a'] }, 400],
  [{ documents: ['a'] }, 400],
  [{ query: 'a', documents: ['a'], top_n: 0 }, 400],
  [{ query: 'a', documents: [{ title: 'a' }] }, 400],
  [{ query: 'a', documents: ['a'], extra: 1 }, 400],
])('%j is refused with %d', async (body, status) => {
  await using server = await start()
  expect(await post(server.url, body)).toMatchObject({ status, error: { message: expect.any(String) } })
})

test('without a reranker that is said, with how to get one', async () => {
  const rerankers = { find: async () => undefined, list: async () => [], close: async () => {} }
  await using server = await start({ rerankers })
  expect(await post(server.url, { query: 'a', documents: ['a'] })).toMatchObject({
    status: 404,
    error: { message: expect.stringContaining('models pull') },
  })
})
