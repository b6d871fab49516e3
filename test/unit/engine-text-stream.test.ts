import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createTextStream } from '../../src/engine/local/text-stream.ts'

const bytes = (...values: number[]) => Uint8Array.from(values)

function feed(pieces: readonly (string | Uint8Array)[], stops: readonly string[] = []) {
  const stream = createTextStream(stops)
  let text = ''
  for (const piece of pieces) {
    const step = stream.add(typeof piece === 'string' ? Buffer.from(piece) : piece)
    text += step.text
    if (step.stopText !== undefined) return { text, stopped: true }
  }
  return { text: text + stream.end(), stopped: false }
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
    expect([stream.add(Buffer.from('😀')).text, stream.add(Buffer.from('x')).text + stream.end()]).toEqual(['😀', 'x'])
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
