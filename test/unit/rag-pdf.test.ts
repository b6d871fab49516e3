import { describe, expect, test } from 'vitest'
import { extract } from '../../src/rag/extract/extract.ts'
import { readPdfBlocks } from '../../src/rag/extract/pdf-blocks.ts'
import { joinRuns, type PdfLine, type PdfRun } from '../../src/rag/extract/pdf-lines.ts'
import { makePdf } from '../document-files.ts'

const read = (bytes: Uint8Array) => extract(bytes, { name: 'a.pdf' })
const lines = (...texts: readonly string[]) => texts.map((text) => ({ text }))

test('bookmarks tell which lines are headings, however they are set, but for those of a table of contents', async () => {
  const page = lines(
    'Harbours ........ 1',
    'Harbours',
    'A harbour shelters ships.',
    '1.1 Depth',
    'The basin is deep.',
    'Fees',
    'It costs much.',
  )
  const { text, sections } = await read(makePdf([page], { outline: [['1 Harbours', '1.1 Depth'], ['Fees'], ['Off'], ['Fees']] }))
  expect(sections.map(({ path }) => path)).toEqual(['', 'Harbours', 'Harbours > 1.1 Depth', 'Fees'])
  expect(text).toMatch(/^Harbours … 1\n/)
})

test('a page that is missing is one without text', async () => {
  const whole = Buffer.from(makePdf([lines('Here is text.'), lines('Here too.')])).toString('latin1')
  const broken = Buffer.from(whole.replace('[5 0 R 7 0 R]', '[5 0 R 9 0 R]'), 'latin1')
  expect(await read(new Uint8Array(broken))).toMatchObject({ text: 'Here is text.', pagesWithoutText: 1 })
})

test.each([
  ['All harbours', 'All harbours'],
  ['Microsoft Word - harbours.docx', 'Harbours'],
  ['untitled', 'Harbours'],
  [' ', 'Harbours'],
])('of the title %j, %j is told', async (given, title) => {
  const page = [{ text: 'Harbours', size: 20 }, ...lines('A harbour shelters ships from the waves.')]
  expect((await read(makePdf([page], { title: given }))).title).toBe(title)
})

test('more pages than can be read are refused', async () => {
  await expect(read(makePdf(Array.from({ length: 20_001 }, () => [])))).rejects.toMatchObject({ code: 'too_large' })
})

const line = (text: string, y: number, more: Partial<PdfLine> = {}): PdfLine => ({
  text,
  x: 72,
  y,
  right: 300,
  size: 10,
  page: 1,
  ...more,
})
/** Of each block its first letter of the kind, its page and its text. */
const blocksOf = (...given: readonly PdfLine[]) =>
  readPdfBlocks([{ number: 1, height: 800, lines: given }], new Map()).map(({ type, text, page }) => `${type} ${page}: ${text}`)

describe('lines are', () => {
  const body = [line('It is wide', 700), line('and it is deep', 688), line('and calm,', 676)]
  const joined = 'paragraph 1: It is wide and it is deep and calm,'

  test('one paragraph as long as they follow each other, also in the next column', () => {
    expect(blocksOf(...body, line('as we said.', 664))).toEqual([`${joined} as we said.`])
    expect(blocksOf(...body, line('as we said.', 760, { x: 320 }))).toEqual([`${joined} as we said.`])
  })

  test.each([
    ['after a gap', line('The end', 640)],
    ['on the next page', line('The end', 700, { page: 2 })],
    ['in another size', line('The end', 664, { size: 7 })],
  ])('another paragraph %s', (_where, next) => {
    expect(blocksOf(...body, next)).toEqual([joined, `paragraph ${next.page}: The end`])
  })

  test('another paragraph in the next column, or where one is indented, if a sentence ended before', () => {
    const ended = [...body, line('as we said.', 664)]
    expect(blocksOf(...ended, line('Then', 760, { x: 320 }))).toHaveLength(2)
    expect(blocksOf(...ended, line('Then', 652, { x: 90 }))).toHaveLength(2)
    expect(blocksOf(...body, line('then', 664, { x: 90 }))).toEqual([`${joined} then`])
  })

  test('items where a sign or a number leads them', () => {
    expect(blocksOf(...body, line('• bread', 664), line('2) salt', 652), line('and pepper', 640))).toEqual([
      joined,
      'list-item 1: • bread',
      'list-item 1: 2) salt and pepper',
    ])
  })

  test('a heading together, but for one that stands far from the other', () => {
    const large = { size: 20 }
    expect(blocksOf(line('All the harbours', 760, large), line('of Spain', 736, large), ...body)).toEqual([
      'heading 1: All the harbours of Spain',
      joined,
    ])
    expect(blocksOf(line('Harbours', 760, large), line('Spain', 700, large), line('Up again', 780, large), ...body)).toHaveLength(
      4,
    )
    expect(blocksOf(line('• 5 •', 760, large), ...body)[0]).not.toMatch(/^heading/)
  })
})

describe('runs on a page', () => {
  const run = (text: string, x: number, y: number, more: Partial<PdfRun> = {}): PdfRun => ({
    text,
    x,
    y,
    width: text.length * 5,
    size: 10,
    endsLine: false,
    ...more,
  })
  const textsOf = (...runs: readonly PdfRun[]) => joinRuns(runs, 1).map(({ text }) => text)

  test('are one line as long as they stand on it, with a space in each gap that is as wide as one', () => {
    expect(textsOf(run('E = mc', 72, 700), run('2', 102, 704, { size: 6 }), run('is', 120, 700))).toEqual(['E = mc2 is'])
    expect(textsOf(run('be', 72, 700), run('gin ', 82, 700), run('now', 130, 700))).toEqual(['begin now'])
  })

  test('are another line below, and where they go back', () => {
    expect(textsOf(run('One', 72, 700), run('Two', 72, 688), run('Three', 50, 688))).toEqual(['One', 'Two', 'Three'])
    expect(textsOf(run('One', 72, 700, { endsLine: true }), run('', 72, 700), run(' ', 72, 600), run('Two', 90, 700))).toEqual([
      'One',
      'Two',
    ])
  })

  test('have the size of the longest of them', () => {
    expect(joinRuns([run('O', 72, 700, { size: 30 }), run('nce upon a time', 90, 700)], 3)).toMatchObject([
      { size: 10, page: 3, x: 72 },
    ])
    expect(joinRuns([run('Once upon', 72, 700, { size: 20 }), run('a time', 130, 700)], 3)).toMatchObject([{ size: 20 }])
  })
})
