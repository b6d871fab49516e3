import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createCitationFilter, toSentences } from '../../src/rag/citations.ts'

function filtered(text: string, sources: number, pieces: readonly string[] = [text]): string {
  const filter = createCitationFilter(sources)
  return pieces.map((piece) => filter.push(piece)).join('') + filter.end()
}

test.each([
  ['The sky is blue [1].', 'The sky is blue [1].'],
  ['The sky is blue [9].', 'The sky is blue.'],
  ['The sky is blue [1, 9] and wide [2,3].', 'The sky is blue [1] and wide [2][3].'],
  ['Zero [0] and minus [-1] and far [99999999999999999999].', 'Zero and minus [-1] and far.'],
  ['Not a citation: [1a], [], [ ], [note].', 'Not a citation: [1a], [], [ ], [note].'],
  ['Wow![1]', 'Wow! [1]'],
  ['Nested [4[9]] and [1[2]].', 'Nested (4] and (1[2]].'],
  ['Twice [2][2] [2, 2]', 'Twice [2][2] [2]'],
])('of three sources, "%s" shows as "%s"', (written, shown) => {
  expect(filtered(written, 3)).toBe(shown)
})

test('code keeps its brackets, and a stray backtick ends with its line', () => {
  expect(filtered('Use `list[9]` or\n```js\nlist[9]\n```\nnot [9].', 3)).toBe('Use `list[9]` or\n```js\nlist[9]\n```\nnot.')
  expect(filtered('A stray ` here\nand [9] there', 3)).toBe('A stray ` here\nand there')
})

test.each([
  ['See ![chart](http://evil.example/?q=secret).', 'See ! [chart](http://evil.example/?q=secret).'],
  ['![1](http://evil.example)', '! [1](http://evil.example)'],
  ['!![a](u)', '!! [a](u)'],
  ['![9][a](u)', '! [a](u)'],
  ['a ``` b ![a](u)', 'a ``` b ! [a](u)'],
])('an image becomes a link, so that showing the answer asks nobody for anything: %s', (written, shown) => {
  expect(filtered(written, 1)).toBe(shown)
})

test('no answer holds an image, wherever it is cut into pieces', () => {
  const bit = fc.constantFrom('!', '[', '![', ']', '(u)', '9', '[9]', '`', '```', '\n', ' ', 'a', '\\')
  fc.assert(
    fc.property(fc.array(bit, { maxLength: 30 }), (bits) => {
      expect(filtered(bits.join(''), 1, bits)).not.toContain('![')
    }),
    { numRuns: 3000 },
  )
})

test('an answer shows the same wherever it is cut into pieces', () => {
  const bit = fc.constantFrom('[', ']', '1', '9', ', ', ' ', '!', '`', '```', '\n', 'word', '.', '[1]', '[9]', '![', '(x)')
  fc.assert(
    fc.property(fc.array(bit, { maxLength: 40 }), fc.array(fc.nat(120), { maxLength: 10 }), (bits, cuts) => {
      const text = bits.join('')
      const places = [0, ...cuts.filter((cut) => cut < text.length).sort((one, other) => one - other), text.length]
      const pieces = places.slice(1).map((place, index) => text.slice(places[index], place))
      expect(filtered(text, 3, pieces)).toBe(filtered(text, 3))
    }),
    { numRuns: 2000 },
  )
})

test('a model that goes on with blanks for ever holds nothing up', () => {
  const filter = createCitationFilter(3)
  const blanks = ' '.repeat(50_000)
  // Each comparison of regular expressions with the square of the blanks would be billions.
  expect(filter.push(`a${blanks}`) + filter.push('b') + filter.push(`${'[1 '.repeat(20_000)}x`) + filter.end()).toHaveLength(
    110_003,
  )
})

test('every citation that is left resolves', () => {
  const outside = (text: string) => [...text.matchAll(/\[(\d+)\]/g)].map((match) => Number(match[1]))
  const bit = fc.oneof(
    fc.constantFrom('[', ']', ',', ' ', 'a'),
    fc.nat(12).map(String),
    fc.nat(12).map((one) => `[${one}]`),
  )
  fc.assert(
    fc.property(fc.array(bit, { maxLength: 30 }), fc.integer({ min: 0, max: 5 }), (bits, sources) => {
      for (const number of outside(filtered(bits.join(''), sources))) {
        expect(number).toBeGreaterThanOrEqual(1)
        expect(number).toBeLessThanOrEqual(sources)
      }
    }),
    { numRuns: 2000 },
  )
})

test('a citation belongs to its sentence, also after the full stop', () => {
  const found = toSentences('It opens at ten [1]. It closes on Mondays. [2] Nobody knows why.')
  expect(found.map(({ text, citations }) => [text, citations.map(({ number }) => number)])).toEqual([
    ['It opens at ten [1].', [1]],
    ['It closes on Mondays.', [2]],
    ['Nobody knows why.', []],
  ])
})

test('offsets are those of the answer', () => {
  const answer = '  Uno [1]. ¿Dos 😀? [2]\n\nTres [3].'
  for (const { text, offset, citations } of toSentences(answer)) {
    expect(answer.slice(offset, offset + text.length)).toBe(text)
    for (const citation of citations) expect(answer.slice(citation.offset)).toMatch(new RegExp(`^\\[${citation.number}\\]`))
  }
})
