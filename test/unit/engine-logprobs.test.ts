import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createTokenLogprobs } from '../../src/engine/local/token-logprobs.ts'
import { normalize } from '../../src/engine/local/token-scores.ts'

const pieces = ['', 'one', ' two', [0x20, 0xf0, 0x9f], [0x98, 0x80], 'é'].map((piece) => Buffer.from(piece))
const backend = {
  piece: (token: number) => pieces[token] ?? Buffer.alloc(0),
  controlText: (token: number) => (token === 0 ? '<end_of_turn>' : ''),
}

function read(scores: readonly number[], token: number, count: number) {
  const logprobs = createTokenLogprobs(backend, count)
  logprobs.read(Float32Array.from(scores))
  return logprobs.of(token, backend.piece(token))
}

describe('the log-probability of a token', () => {
  test('is that of the softmax over all scores', () => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: -60, max: 60, noNaN: true }), { minLength: 1, maxLength: 300 }), (numbers) => {
        const scores = Float32Array.from(numbers)
        const { logSum, top } = normalize(scores)
        const highest = Math.max(...scores)
        const exactly = highest + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - highest), 0))
        expect(logSum).toBeCloseTo(exactly, 6)
        expect(scores[top]).toBe(highest)
      }),
    )
  })

  test('comes with the likeliest tokens in its place, likeliest first, and is the same as among them', () => {
    const { top, ...chosen } = read([0, 3, 2, 1, 0, 0], 2, 3)
    expect(top.map(({ text }) => text)).toEqual(['one', ' two', ' \\xf0\\x9f'])
    expect(top[1]).toEqual(chosen)
    expect(top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeLessThan(1)
  })

  test('comes alone where no others are asked for', () => {
    expect(read([Math.log(1), Math.log(3)], 1, 0)).toEqual({
      text: 'one',
      bytes: [...Buffer.from('one')],
      logprob: expect.closeTo(Math.log(0.75), 6),
      top: [],
    })
  })

  test('is a number even where there is no probability at all', () => {
    expect(read([0, Number.NEGATIVE_INFINITY], 1, 2)).toMatchObject({ logprob: -9999, top: [{ logprob: 0 }] })
  })
})

test('a token that holds a part of a character has its bytes, and shows them in its text; a control token has its name', () => {
  const texts = (token: number) => [read([9, 8, 7, 6, 5, 4], token, 1).text, read([9, 8, 7, 6, 5, 4], token, 1).bytes.length]
  expect([texts(3), texts(4), texts(5)]).toEqual([
    [' \\xf0\\x9f', 3],
    ['\\x98\\x80', 2],
    ['é', 2],
  ])
  expect(read([9, 8], 1, 1).top[0]).toMatchObject({ text: '<end_of_turn>', bytes: [...Buffer.from('<end_of_turn>')] })
  expect(read([9, 8], 0, 0)).toMatchObject({ text: '', bytes: [] })
})
