import { setImmediate } from 'node:timers/promises'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createEmbedBatches } from '../../src/engine/local/embed-batches.ts'
import type { FromEmbedWorker } from '../../src/engine/local/embed-protocol.ts'

/** Batches over a model whose tokens are the letters of a text, and whose vector is their codes. */
function createWorld({ maxTokens = 10, fails = (_text: string): boolean => false } = {}) {
  const sent: FromEmbedWorker[] = []
  const turns: number[] = []
  const tokensOf = (text: string) => Array.from(text, (letter) => letter.codePointAt(0) ?? 0)
  const batches = createEmbedBatches({
    backend: {
      maxTokens,
      encodeWhole: (text) => ({ ids: tokensOf(text) }),
      cut: ({ ids }) => ({ ids: ids.slice(0, maxTokens) }),
      encodePair: (query, text) => ({ ids: tokensOf(query + text), secondFrom: query.length }),
      countTokens: (text) => text.length,
      async evaluate(inputs) {
        turns.push(inputs.length)
        await setImmediate()
        if (inputs.some(({ ids }) => fails(String.fromCodePoint(...ids)))) throw new Error('The model broke.')
        return inputs.map(({ ids, secondFrom }) => Float32Array.from(secondFrom === undefined ? ids : [ids.length, secondFrom]))
      },
    },
    send(message) {
      if (message.type !== 'embed-progress') sent.push(message)
    },
    pause: () => setImmediate(),
  })
  const until = async (count: number) => {
    for (let turn = 0; turn < 5000 && sent.length < count; turn += 1) await setImmediate()
    return sent
  }
  const start = (id: number, texts: readonly string[], truncate = false) =>
    batches.start({ type: 'embed-start', id, texts, truncate })
  const { cancel, rerank } = batches
  return { start, rerank, cancel, until, sent, turns }
}

const textOf = (vector: Float32Array) => String.fromCodePoint(...vector)

test('every request has its own vectors, in the order of its texts, however many ask at once', async () => {
  const texts = fc.array(fc.string({ minLength: 1, maxLength: 10, unit: 'binary-ascii' }), { minLength: 1, maxLength: 150 })
  await fc.assert(
    fc.asyncProperty(fc.array(texts, { minLength: 1, maxLength: 12 }), async (requests) => {
      const { start, until, turns } = createWorld()
      for (const [id, one] of requests.entries()) start(id, one)
      const sent = await until(requests.length)
      for (const message of sent) {
        if (message.type !== 'embed-end') throw new Error(message.type)
        expect(message.vectors.map(textOf)).toEqual(requests[message.id])
        expect(message.tokens).toEqual(requests[message.id]?.map(({ length }) => length))
      }
      expect(sent.map((message) => 'id' in message && message.id).sort()).toEqual([...requests.keys()].sort())
      expect(Math.max(...turns)).toBeLessThanOrEqual(64)
    }),
    { numRuns: 100 },
  )
})

test('a long list keeps no short one waiting for its end', async () => {
  const { start, until } = createWorld()
  start(1, Array(1000).fill('long'))
  start(2, ['short'])
  expect((await until(1))[0]).toMatchObject({ type: 'embed-end', id: 2 })
  expect((await until(2))[1]).toMatchObject({ type: 'embed-end', id: 1 })
})

test('a text that is too long is refused with the numbers, or cut and said to be', async () => {
  const { start, until } = createWorld()
  start(1, ['short', 'far too long'])
  start(2, ['short', 'far too long'], true)
  const [refused, cut] = await until(2)
  expect(refused).toMatchObject({ type: 'embed-failed', id: 1, code: 'context_length_exceeded' })
  expect(refused).toMatchObject({ message: expect.stringMatching(/Text 2 has 12 tokens, and the model takes 10\..*truncate/) })
  expect(cut).toMatchObject({ type: 'embed-end', id: 2, tokens: [5, 10], truncated: [false, true] })
})

test('who leaves costs nothing more; who comes with what breaks the model fails alone with its turn', async () => {
  const { start, cancel, until, sent } = createWorld({ fails: (text) => text === 'broken' })
  start(1, Array(500).fill('gone'))
  cancel(1)
  start(2, ['fine'])
  expect(await until(1)).toMatchObject([{ type: 'embed-end', id: 2 }])
  start(3, ['broken'])
  expect((await until(2))[1]).toMatchObject({ type: 'embed-failed', id: 3, code: 'internal' })
  start(4, ['fine'])
  expect((await until(3))[2]).toMatchObject({ type: 'embed-end', id: 4 })
  expect(sent).toHaveLength(3)
})

test('a query is read with each of the texts', async () => {
  const { rerank, until } = createWorld()
  rerank({ type: 'rerank-start', id: 7, query: 'ab', texts: ['c', 'def'] })
  const [answer] = await until(1)
  expect(answer).toMatchObject({ type: 'embed-end', id: 7, tokens: [3, 5] })
  expect(answer).toMatchObject({ vectors: [Float32Array.of(3, 2), Float32Array.of(5, 2)] })
})
