import Sqlite from 'better-sqlite3'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { toWordQuery } from '../../src/embed/word-query.ts'

/** A collection of words as the service keeps it, with these texts. */
function open(texts: readonly string[]) {
  const db = new Sqlite(':memory:')
  db.exec("create virtual table words using fts5(text, tokenize = 'unicode61 remove_diacritics 2')")
  for (const text of texts) db.prepare('insert into words values (?)').run(text)
  return (query: string): string[] => {
    const words = toWordQuery(query)
    if (words === undefined) return []
    return db
      .prepare<unknown[], { text: string }>('select text from words where words match ? order by bm25(words)')
      .all(words)
      .map(({ text }) => text)
  }
}

test.each([
  ['headings', 'one heading'],
  ['saving files', 'save the file'],
  ['flores', 'una flor'],
  ['acción', 'la ACCION'],
  ['C3PO', 'c3po'],
])('"%s" finds "%s"', (query, text) => {
  expect(open([text])(query)).toEqual([text])
})

test('words side by side find the text that has them so first', () => {
  const texts = ['stop here, then press tab to go on', 'set a tab stop here, then go on']
  expect(open(texts)('tab stop')[0]).toBe(texts[1])
})

test('words that tell nothing are looked for only where there is nothing else', () => {
  const find = open(['the house of the lake', 'what is it'])
  expect(find('what is the house')).toEqual(['the house of the lake'])
  expect(find('what is it')).toEqual(['what is it'])
})

test('a number is not the beginning of another one', () => {
  expect(open(['2024'])('202')).toEqual([])
})

test('whatever is asked is a query that the database takes', () => {
  const find = open(['some text'])
  const bit = fc.oneof(
    fc.string({ unit: 'binary' }),
    fc.constantFrom('"', '*', ' OR ', ' NEAR(', 'text', ':', '^', '-', '\u0000', '\ud800', '(', 'texts'),
  )
  fc.assert(
    fc.property(fc.array(bit, { maxLength: 20 }), (bits) => {
      expect(() => find(bits.join(''))).not.toThrow()
    }),
    { numRuns: 2000 },
  )
})

test('a long question is cut', () => {
  expect(toWordQuery('word '.repeat(5000))?.length).toBeLessThan(2000)
  expect(toWordQuery(Array.from({ length: 500 }, (_, index) => `w${index}`).join(' '))?.split(' OR ').length).toBeLessThan(130)
})

test('a text without words asks nothing', () => {
  expect(toWordQuery(' ?! ')).toBeUndefined()
})
