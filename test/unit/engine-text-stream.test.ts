import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createTextStream, type Shown } from '../../src/engine/local/text-stream.ts'
import type { TokenLogprob } from '../../src/engine/provider.ts'

const bytes = (...values: number[]) => Uint8Array.from(values)

function feed(pieces: readonly (string | Uint8Array)[], stops: readonly string[] = []) {
  const stream = createTextStream(stops)
  let text = ''
  for (const piece of pieces) {
    const step = stream.add(typeof piece === 'string' ? Buffer.from(piece) : piece)
    text += step.text
    if (step.stopText !== undefined) return { text, stopped: true }
  }
  return { text: text + stream.end().text, stopped: false }
}

test('a character that is split over tokens arrives whole', () => {
  expect(feed([bytes(0xf0, 0x9f), bytes(0x98, 0x80), bytes(0xc3), bytes(0xa9), bytes(0xe4, 0xbd), bytes(0xa0)]).text).toBe(
    '😀é你',
  )
})

test('a character that never becomes whole is dropped', () => {
  expect(feed(['hola ', bytes(0xf0, 0x9f)]).text).toBe('hola ')
})

test('a stop text is found across tokens and is not shown', () => {
  expect(feed(['MON', 'TA', 'GNE'], ['MONTAGNE'])).toEqual({ text: '', stopped: true })
  expect(feed(['uno dos tr', 'es', ' cuatro'], ['es cua'])).toEqual({ text: 'uno dos tr', stopped: true })
})

test('text that was held back for a stop text comes at the end', () => {
  expect(feed(['son ', 'bo'], ['bonjour'])).toEqual({ text: 'son bo', stopped: false })
})

test('half a character as a stop text cuts none in two', () => {
  for (const stop of ['\ude00', '\ude00x', '\ud83d']) {
    const stream = createTextStream([stop])
    expect([stream.add(Buffer.from('😀')).text, stream.add(Buffer.from('x')).text + stream.end().text]).toEqual(['😀', 'x'])
  }
})

test('of two stop texts the one that is complete first wins', () => {
  expect(feed(['a b c d'], ['c d', 'b'])).toEqual({ text: 'a ', stopped: true })
  expect(feed(['abcde'], ['abcde', 'cd'])).toEqual({ text: 'ab', stopped: true })
})

test('the space that a model puts after a prompt like "Assistant:" can be left out, and only that one', () => {
  const read = (...pieces: string[]) => {
    const stream = createTextStream([], { dropsFirstSpace: true })
    return pieces.map((piece) => stream.add(Buffer.from(piece)).text).join('')
  }
  expect([read(' Hola', ' tú'), read('', ' ', ' x'), read('Hola', ' tú')]).toEqual(['Hola tú', ' x', 'Hola tú'])
})

test('where the borders of tokens are makes no difference', () => {
  const letters = fc.constantFrom('a', 'b', 'é', '😀', ' ')
  const texts = fc.array(letters, { maxLength: 30 }).map((parts) => parts.join(''))
  const stops = fc.array(
    fc.array(letters, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('')),
    { maxLength: 3 },
  )
  fc.assert(
    fc.property(texts, stops, fc.array(fc.nat(40)), (text, ends, cuts) => {
      const whole = Buffer.from(text)
      const borders = [...new Set([0, ...cuts.filter((cut) => cut < whole.length), whole.length])].sort((a, b) => a - b)
      const pieces = borders.slice(1).map((to, index) => whole.subarray(borders[index], to))
      expect(feed(pieces, ends)).toEqual(feed([whole], ends))
    }),
    { numRuns: 500 },
  )
})

test('no stop text is ever shown, and nothing else is lost', () => {
  const text = fc.string({ unit: fc.constantFrom('x', 'y', 'z'), maxLength: 40 })
  fc.assert(
    fc.property(text, fc.string({ unit: fc.constantFrom('x', 'y', 'z'), minLength: 1, maxLength: 3 }), (answer, stop) => {
      const at = answer.indexOf(stop)
      const shown = feed([...answer], [stop])
      expect(shown).toEqual({ text: at < 0 ? answer : answer.slice(0, at), stopped: at >= 0 })
    }),
  )
})

describe('tokens with log-probabilities', () => {
  const tokenOf = (piece: Uint8Array): TokenLogprob => {
    const score = { text: Buffer.from(piece).toString(), bytes: [...piece], logprob: -1 }
    return { ...score, top: [score] }
  }

  /** What came with each token, and at the end. */
  function feedTokens(pieces: readonly (string | Uint8Array)[], stops: readonly string[] = [], options = {}) {
    const stream = createTextStream(stops, options)
    const steps: Shown[] = []
    for (const piece of pieces.map((one) => Buffer.from(one))) {
      const { stopText, ...shown } = stream.add(piece, tokenOf(piece))
      steps.push(shown)
      if (stopText !== undefined) return steps
    }
    return [...steps, stream.end()]
  }
  const seen = (steps: readonly Shown[]) => steps.map(({ text, tokens }) => [text, ...tokens.map((token) => token.text)])

  test('come with their text, and wait with it', () => {
    expect(seen(feedTokens(['son ', 'bo', 'n!'], ['bonjour']))).toEqual([['son ', 'son '], [''], ['bon!', 'bo', 'n!'], ['']])
  })

  test('come together for a character that is split over them, and at the end for one that never becomes whole', () => {
    const [first, second] = [bytes(0xf0, 0x9f), bytes(0x98, 0x80)]
    const bytesOf = (steps: readonly Shown[]) => steps.map(({ text, tokens }) => [text, ...tokens.map((token) => token.bytes)])
    expect(bytesOf(feedTokens([first, second]))).toEqual([[''], ['😀', [...first], [...second]], ['']])
    expect(bytesOf(feedTokens(['a', first]))).toEqual([['a', [97]], [''], ['', [...first]]])
  })

  test('that a stop text swallows do not come; the one that it begins in does', () => {
    expect(seen(feedTokens(['uno dos tr', 'es', ' cua'], ['es cua']))).toEqual([['uno dos tr', 'uno dos tr'], [''], ['']])
    expect(seen(feedTokens(['uno d', 'os'], ['dos']))).toEqual([['uno ', 'uno d'], ['']])
  })

  test('lose the space that the text loses', () => {
    const [step] = feedTokens([' Hola'], [], { dropsFirstSpace: true })
    const score = { text: 'Hola', bytes: [...Buffer.from('Hola')], logprob: -1 }
    expect(step).toEqual({ text: 'Hola', tokens: [{ ...score, top: [score] }] })
  })

  test('come in order, and their bytes are those of the text, wherever the borders are', () => {
    const letters = fc.constantFrom('a', 'b', 'é', '😀', ' ')
    const whole = fc.array(letters, { maxLength: 30 }).map((parts) => Buffer.from(parts.join('')))
    const stops = fc.array(
      fc.array(letters, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('')),
      { maxLength: 2 },
    )
    fc.assert(
      fc.property(whole, stops, fc.array(fc.nat(40)), (answer, ends, cuts) => {
        // The same place twice makes an empty token, as control tokens are.
        const borders = [0, ...cuts.filter((cut) => cut < answer.length), answer.length].sort((a, b) => a - b)
        const pieces = borders.slice(1).map((to, index) => answer.subarray(borders[index], to))
        const steps = feedTokens(pieces, ends)
        const text = steps.map((step) => step.text).join('')
        const tokens = steps.flatMap((step) => step.tokens)
        const given = Buffer.from(tokens.flatMap((token) => token.bytes))
        expect(tokens).toEqual(pieces.slice(0, tokens.length).map(tokenOf))
        expect(given.subarray(0, Buffer.byteLength(text)).toString()).toBe(text)
        if (text === answer.toString()) expect(tokens).toHaveLength(pieces.length)
        else expect(given.length - (tokens.at(-1)?.bytes.length ?? 0)).toBeLessThan(Math.max(1, Buffer.byteLength(text)))
      }),
      { numRuns: 500 },
    )
  })
})

test('which stop text was met is told, as the caller wrote it', () => {
  expect(createTextStream(['x', 'ab']).add(Buffer.from('1 ab')).stopText).toBe('ab')
  expect(createTextStream(['x']).add(Buffer.from('1 ab')).stopText).toBeUndefined()
})
