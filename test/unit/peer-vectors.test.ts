import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { saying } from '../answer-scripts.ts'
import { type OpenaiError, openaiClient, postV1 } from '../openai-client.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

// The forms of input that llama-server's and vLLM's public tests try with vectors and rankings (docs/peer-behaviours.md).

let server: TestServer
beforeAll(async () => {
  server = await startServer({ host: createScriptedHost(() => saying('ok')) })
})
afterAll(() => server[Symbol.asyncDispose]())

type Vectors = Readonly<{ data: ReadonlyArray<Readonly<{ index: number; embedding: readonly number[] }>>; usage: object }>
type Ranking = Readonly<{ results: ReadonlyArray<Readonly<{ index: number; relevance_score: number }>>; usage: object }>

const embed = (body: object) => postV1(server, '/embeddings', { model: 'fake-embedder', ...body })
const rerank = (body: object) => postV1(server, '/rerank', { query: 'red house', ...body })

describe('vectors', () => {
  test.each<readonly [input: string | string[], count: number, tokens: number]>([
    ['string', 1, 6],
    [['string'], 1, 6],
    [['string1', 'string2'], 2, 14],
    ['ñ😀é', 1, 4],
    [' ', 1, 1],
    [Array.from({ length: 2048 }, () => 'a'), 2048, 2048],
  ])('of %j', async (input, count, tokens) => {
    const { data, usage } = await bodyOf<Vectors>(await embed({ input }))
    expect(data.map(({ index }) => index)).toEqual(Array.from({ length: count }, (_, index) => index))
    for (const { embedding } of data.slice(0, 3)) expect(Math.hypot(...embedding)).toBeCloseTo(1, 6)
    expect(usage).toEqual({ prompt_tokens: tokens, total_tokens: tokens })
  })

  test('of the same text are the same, in each place of a list', async () => {
    const { data } = await bodyOf<Vectors>(await embed({ input: ['same', 'other', 'same', 'same'] }))
    expect([data[2]?.embedding, data[3]?.embedding]).toEqual([data[0]?.embedding, data[0]?.embedding])
    expect(data[1]?.embedding).not.toEqual(data[0]?.embedding)
  })

  test.each<readonly [body: object, param: string]>([
    [{ input: '' }, 'input'],
    [{ input: [] }, 'input'],
    [{ input: null }, 'input'],
    [{ input: 123 }, 'input'],
    [{ input: { text: 'a' } }, 'input'],
    [{ input: ['a', ''] }, 'input.1'],
    [{ input: [null] }, 'input.0'],
    [{ input: [12, 34, 56] }, 'input.0'],
    [{ input: [12, 34, 'string', 56, 78] }, 'input.0'],
    [{ input: ['string1', [12, 34, 56]] }, 'input.1'],
    [{ input: [[12, 34], [56]] }, 'input.0'],
    [{ messages: [{ role: 'user', content: 'x' }] }, 'input'],
    [{ input: 'a', dimensions: -1 }, 'dimensions'],
    [{ input: 'a', dimensions: 0 }, 'dimensions'],
    [{ input: 'a', dimensions: 16 }, 'dimensions'],
    [{ input: 'a', encoding_format: 'bytes' }, 'encoding_format'],
    [{ input: 'a', truncate_prompt_tokens: 10 }, 'truncate_prompt_tokens'],
    [{ input: 'a', model: null }, 'model'],
  ])('are refused where it is wrong: %j', async (body, param) => {
    const response = await embed(body)
    expect(response.status).toBe(400)
    expect((await bodyOf<OpenaiError>(response)).error).toMatchObject({ type: 'invalid_request_error', param })
  })

  test('of tokens are refused with what to send instead', async () => {
    for (const input of [
      [1, 2],
      [[1], [2]],
    ])
      expect((await bodyOf<OpenaiError>(await embed({ input }))).error.message).toMatch(/"input\.0" must be a text \(tokens/)
  })

  test('are as wide as asked, where that is as wide as the model makes them; null is nothing asked', async () => {
    const { embeddings } = openaiClient(server)
    const [one] = (await embeddings.create({ model: 'fake-embedder', input: 'a', dimensions: 3 })).data
    expect(one?.embedding).toHaveLength(3)
    expect((await embed({ input: 'a', dimensions: null, encoding_format: null, user: null })).status).toBe(200)
  })
})

describe('a ranking', () => {
  const documents = ['no word of it', 'a red house', 'a red boat', 'green']

  test.each([
    [{}, 4],
    [{ top_n: null }, 4],
    [{ top_n: 1 }, 1],
    [{ top_n: 2 }, 2],
    [{ top_n: 4 }, 4],
    [{ top_n: 99 }, 4],
  ])('with %j has %d of four, the best of them first', async (body, count) => {
    const { results } = await bodyOf<Ranking>(await rerank({ documents, ...body }))
    expect(results).toHaveLength(count)
    expect(results[0]).toEqual({ index: 1, relevance_score: 1 })
    const scores = results.map(({ relevance_score: score }) => score)
    expect(scores).toEqual(scores.toSorted((one, other) => other - one))
  })

  test('counts the query once with each document', async () => {
    const { usage } = await bodyOf<Ranking>(await rerank({ documents: ['a', 'bc'] }))
    expect(usage).toEqual({ prompt_tokens: 21, total_tokens: 21 })
  })

  test.each<readonly [body: object, param: string]>([
    [{ documents: [] }, 'documents'],
    [{ documents: null }, 'documents'],
    [{ documents: 'a text' }, 'documents'],
    [{ documents: 123 }, 'documents'],
    [{ documents: [1, 2, 3] }, 'documents.0'],
    [{ documents: ['a', ''] }, 'documents.1'],
    [{ documents, query: ['a'] }, 'query'],
    [{ documents, query: null }, 'query'],
    [{ documents, top_n: 0 }, 'top_n'],
    [{ documents, top_n: -1 }, 'top_n'],
    [{ documents, top_n: 1.5 }, 'top_n'],
    [{ texts: documents }, 'documents'],
    [{ documents, activation: false }, 'activation'],
  ])('is refused where the request is wrong: %j', async (body, param) => {
    const response = await rerank(body)
    expect(response.status).toBe(400)
    expect((await bodyOf<OpenaiError>(response)).error).toMatchObject({ type: 'invalid_request_error', param })
  })
})
