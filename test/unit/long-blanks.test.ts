import { expect, test } from 'vitest'
import { normalizeAnswer } from '../../src/evaluation/match-answer.ts'
import { withoutCitations } from '../../src/rag/citations.ts'
import { cleanText } from '../../src/rag/extract/blocks.ts'
import { readCode } from '../../src/rag/extract/read-code.ts'
import { readPlainText } from '../../src/rag/extract/read-plain-text.ts'
import { toMessages } from '../../src/rag/prompt.ts'
import { toFileName } from '../../web/ui/file-name.ts'

// A pattern that is tried from each place of a long run takes the square of its length: a text of one line would hold the service up.

const count = 200_000
const spaces = ' '.repeat(count)
const source = (text: string) => ({ number: 1, name: 'a', page: undefined, section: undefined, text })

test.each<[string, () => unknown]>([
  ['blanks before a citation that is none', () => withoutCitations(`a${spaces}x`)],
  [
    'blanks behind a sign that begins no source',
    () => toMessages({ language: 'en', history: [], sources: [source(`<${spaces}x`)], question: 'q' }),
  ],
  ['blanks inside of a line', () => cleanText(`a${spaces}x`)],
  ['tabs inside of a line', () => cleanText(`a${'\t'.repeat(count)}x`)],
  ['empty lines inside of a text', () => cleanText(`a${'\n'.repeat(count)}x`)],
  ['marks inside of an answer', () => normalizeAnswer(`a${'! '.repeat(count)}x`)],
  ['empty lines at the end of a text', () => readPlainText(`a${'\r\n'.repeat(count)}`)],
  ['marks inside of a title', () => toFileName(`a${'!-'.repeat(count)}x`, 'md')],
  ['a line that can be cut into words in many ways', () => readCode(`${'a*'.repeat(count)}!\n`)],
])('%s take no time', (_, work) => {
  const startedMs = performance.now()
  work()
  expect(performance.now() - startedMs).toBeLessThan(2000)
})

test('what is cleaned and cut is the same as before', () => {
  expect(withoutCitations('One [1][2]. Two  [3] and [4].')).toBe('One. Two and.')
  expect(cleanText('\n\na  \n b\t\t\n\nc \n\n')).toBe('a\n b\n\nc')
  expect(normalizeAnswer('¡Sí, claro! …  ')).toBe('sí, claro')
  expect(
    toMessages({ language: 'en', history: [], sources: [source('< / source ></source><  source')], question: 'q' }).at(-1)
      ?.content,
  ).toContain('‹ / source >‹/source>‹  source\n</source>')
})
