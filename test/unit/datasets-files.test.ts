import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import type { DatasetFormat, Excludable } from '../../src/datasets/kinds.ts'
import { maxRecordBytes } from '../../src/datasets/read/bytes.ts'
import { splitLines, splitList } from '../../src/datasets/read/pieces.ts'
import { readDataset } from '../../src/datasets/read/read-dataset.ts'
import type { ReadRow } from '../../src/datasets/read/read-protocol.ts'
import type { DatasetReport } from '../../src/datasets/report.ts'
import type { TrainingExample } from '../../src/engine/train/example.ts'

type Read = Readonly<{ report: DatasetReport; examples: readonly TrainingExample[]; rows: readonly ReadRow[]; sha256: string }>

type Choice = Readonly<{ format?: DatasetFormat; exclude?: readonly Excludable[] }>

async function read(content: string | Uint8Array, fileName = 'data.jsonl', { format, exclude = [] }: Choice = {}): Promise<Read> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-datasets-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const path = join(folder, 'data')
  await writeFile(path, content)
  const rows: ReadRow[] = []
  let report: DatasetReport | undefined
  let sha256 = ''
  for await (const message of readDataset({ path, fileName, format, heldOut: 0, seed: 0, exclude })) {
    if (message.type === 'read-survey') report = message.report
    if (message.type === 'read-rows') rows.push(...message.rows)
    if (message.type === 'read-end') sha256 = message.sha256
  }
  if (report === undefined) throw new Error('There is no report.')
  return { report, rows, sha256, examples: rows.map(({ example }): TrainingExample => JSON.parse(example)) }
}

const line = (text: string) => `${JSON.stringify({ text })}\n`
const textsOf = ({ examples }: Read) => examples.map((example) => (example.type === 'text' ? example.text : example))

describe('a file is read', () => {
  const content = line('uno') + line('año 🙂') + line('tres')
  const utf16 = (text: string, isBig: boolean) => (isBig ? Buffer.from(text, 'utf16le').swap16() : Buffer.from(text, 'utf16le'))
  test.each<[string, Uint8Array, object]>([
    ['in UTF-8', Buffer.from(content), { encoding: 'utf-8', byteOrderMark: false }],
    ['in UTF-8 with a mark', Buffer.from(`\ufeff${content}`), { encoding: 'utf-8', byteOrderMark: true }],
    ['in UTF-16 with a mark', utf16(`\ufeff${content}`, false), { encoding: 'utf-16le', byteOrderMark: true }],
    ['in UTF-16 the other way round', utf16(`\ufeff${content}`, true), { encoding: 'utf-16be', byteOrderMark: true }],
    ['in UTF-16 without a mark', utf16(content, false), { encoding: 'utf-16le', byteOrderMark: false }],
    ['in UTF-16 the other way round without a mark', utf16(content, true), { encoding: 'utf-16be', byteOrderMark: false }],
    ['with other line ends', Buffer.from(content.replaceAll('\n', '\r\n')), { crlfLines: 3 }],
    ['with empty lines', Buffer.from(`\n${content}  \n\r\n`), { emptyLines: 3, crlfLines: 1 }],
    ['without an end to its last line', Buffer.from(content.slice(0, -1)), { emptyLines: 0 }],
  ])('%s', async (_, bytes, report) => {
    const found = await read(bytes)
    expect(textsOf(found)).toEqual(['uno', 'año 🙂', 'tres'])
    expect(found.report).toMatchObject({ ...report, container: 'json-lines', records: 3, rows: 3, refused: [] })
  })

  test.each<[string, string, string, object[] | string[]]>([
    ['as a list', `[\n{"text":"a"},\n {"text":"[b],{\\"}"}]\n`, 'data.json', ['a', '[b],{"}']],
    ['as a list in one line', `[{"text":"a"},{"text":"b"}]`, 'x', ['a', 'b']],
    ['as a table', 'prompt,completion\nq,"a, ""b"""\n', 'data.csv', [chat('q', 'a, "b"')]],
    [
      'as a table with semicolons, whatever its name',
      '"Prompt";"Completion";weight\nq;a;2\n',
      'x',
      [{ ...chat('q', 'a'), weight: 2 }],
    ],
    ['as a table with tabs', 'question\tanswer\nq\ta\n', 'data.tsv', [chat('q', 'a')]],
    ['as a table that its name tells', 'text,id\na,1\n', 'data.csv', ['a']],
    ['as a table with semicolons that its name tells', 'text;id\n"a,b";1\n', 'data.csv', ['a,b']],
    ['as a table with tabs that its name tells', 'text\tid\na\t1\n', 'data.tsv', ['a']],
    ['as a table with a weight that is empty', 'text,weight\na,\nb,2\n', 'data.csv', ['a', 'b']],
    ['as lines of text', 'a, b\n  [c] \n\n{d}\n', 'notes.txt', ['a, b', '  [c] ', '{d}']],
    ['as JSON in spite of its name', line('a'), 'notes.txt', ['a']],
  ])('%s', async (_, content, fileName, expected) => {
    expect(textsOf(await read(content, fileName))).toEqual(expected)
  })

  test('as text where its beginning looks like JSON and the format is named', async () => {
    expect(textsOf(await read('{{greeting}} you\n{ b\n', 'data', { format: 'text' }))).toEqual(['{{greeting}} you', '{ b'])
    await expect(read('{{greeting}} you\n{ b\n', 'data')).rejects.toMatchObject({ code: 'unprocessable' })
  })
})

function chat(question: string, answer: string): TrainingExample {
  return {
    type: 'chat',
    messages: [
      { role: 'user', content: question },
      { role: 'assistant', content: answer },
    ],
  }
}

describe('a file is refused that', () => {
  test.each<[string, string | Uint8Array, string]>([
    ['is compressed', Buffer.of(0x1f, 0x8b, 8, 0), 'gzip'],
    ['is compressed in another way', Buffer.of(0x28, 0xb5, 0x2f, 0xfd), 'Zstandard'],
    ['is an office document', 'PK\x03\x04', 'ZIP'],
    ['is UTF-32', Buffer.of(0xff, 0xfe, 0, 0, 0x61, 0, 0, 0), 'UTF-32'],
    ['is UTF-32 the other way round', Buffer.of(0, 0, 0, 0x61), 'UTF-32'],
    ['has nothing but blanks', ' \n\n', 'It is empty'],
    ['has rows of several kinds', `${line('a')}${JSON.stringify({ prompt: 'q', completion: 'b' })}\n`, '1 of "text" (line 1'],
    ['has no row, for several reasons', '{"a":1}\n{\n{"text":" "}\n', '1 of them such as line 3: "text" is empty.'],
    ['is a list that breaks off at once', '[{', 'line 1'],
  ])('%s', async (_, content, words) => {
    await expect(read(content)).rejects.toMatchObject({ code: 'unprocessable', message: expect.stringContaining(words) })
  })

  test('has only rows that are to be left out', async () => {
    const secret = line('My card is 4111 1111 1111 1111, and that is all of it.')
    await expect(read(secret, 'data.jsonl', { exclude: ['secret'] })).rejects.toMatchObject({
      message: expect.stringContaining('no row is left'),
    })
    const kept = await read(`${secret}${line('a')}${line('a')}${secret}`, 'data.jsonl', { exclude: ['secret', 'duplicate'] })
    expect(textsOf(kept)).toEqual(['a'])
    expect(kept.report).toMatchObject({
      rows: 1,
      excludedRows: 3,
      excluded: [
        { flag: 'duplicate', count: 2 },
        { flag: 'secret:card', count: 2 },
      ],
    })
    expect(kept.report.flags.find(({ flag }) => flag === 'secret:card')?.examples).toEqual([{ line: 1 }, { line: 4 }])
  })
})

test('a character of two halves is read whole wherever it stands in a large file', async () => {
  for (const before of ['', 'a']) {
    const text = `${before}${'🙂'.repeat(70_000)}`
    expect(textsOf(await read(Buffer.from(`\ufeff${line(text)}`, 'utf16le')))).toEqual([text])
  }
})

test('a table larger than what is read at once has all of its rows, in their order', async () => {
  const rows = Array.from({ length: 1000 }, (_, index) => `question number ${index},"answer, ${index}"`)
  const found = await read(`prompt,completion\n${rows.join('\n')}\n`, 'data.csv')
  expect(found.examples).toEqual(rows.map((_, index) => chat(`question number ${index}`, `answer, ${index}`)))
})

describe('what cannot be read is counted with its line', () => {
  test('broken JSON, foreign bytes, and lines that are too long, while the others are kept', async () => {
    const foreign = Buffer.concat([Buffer.from('{"text":"a'), Buffer.of(0xe9), Buffer.from('o"}\n')])
    const long = line('x'.repeat(maxRecordBytes))
    const found = await read(
      Buffer.concat([Buffer.from(line('a')), Buffer.from('{"text":\n'), foreign, Buffer.from(long), Buffer.from(line('b'))]),
    )
    expect(textsOf(found)).toEqual(['a', 'b'])
    expect(found.report.records).toBe(5)
    expect(found.report.refused.map(({ reason, examples }) => [reason, examples.map((one) => one.line)])).toEqual([
      ['broken-json', [2]],
      ['broken-text', [3]],
      ['too-long', [4]],
    ])
  })

  test('half characters of UTF-16', async () => {
    const found = await read(Buffer.from(`\ufeff${line('a')}{"text":"\ud83d."}\n${line('b')}`, 'utf16le'))
    expect(textsOf(found)).toEqual(['a', 'b'])
    expect(found.report.refused).toMatchObject([{ reason: 'broken-text', count: 1, examples: [{ line: 2 }] }])
  })

  test('a list that breaks off, or has odd elements', async () => {
    const found = await read('[\n{"text":"a"},\n5,\n{"text" "b"},\n{"text":"c"},\n{"text":"d"')
    expect(textsOf(found)).toEqual(['a', 'c'])
    expect(found.report.refused.map(({ reason, examples }) => [reason, examples.map((one) => one.line)])).toEqual([
      ['broken-json', [4, 6]],
      ['wrong-shape', [3]],
    ])
  })

  test('a list that ends where an element should follow, and half a character at the end', async () => {
    const list = await read('[{"text":"a"},\n')
    expect([textsOf(list), list.report.refused]).toMatchObject([['a'], [{ reason: 'broken-json', examples: [{ line: 2 }] }]])
    const cut = await read(Buffer.from(`\ufeff${line('a')}${line('b').trim()}`, 'utf16le').subarray(0, -1))
    expect([textsOf(cut), cut.report.refused]).toMatchObject([['a'], [{ reason: 'broken-text', examples: [{ line: 2 }] }]])
  })

  test('rows of a table with too many cells', async () => {
    const found = await read('prompt,completion\nq,a\nr,b,c\ns,\nt,d\n', 'data.csv')
    expect(found.examples).toEqual([chat('q', 'a'), chat('t', 'd')])
    expect(found.report.refused.map(({ reason, examples }) => [reason, examples.map((one) => one.line)])).toEqual([
      ['wrong-shape', expect.arrayContaining([3])],
    ])
  })

  test('a table with a row that is too long is refused whole, as what follows it cannot be told from it', async () => {
    for (const cell of ['x'.repeat(maxRecordBytes + 1), `"${'x\n'.repeat(maxRecordBytes / 2)}`])
      await expect(read(`prompt,completion\nq,a\nr,${cell}\ns,b\n`, 'data.csv')).rejects.toMatchObject({
        code: 'unprocessable',
        message: expect.stringContaining('longer than 4 MB'),
      })
  })

  test('a table in another encoding is refused whole', async () => {
    const content = Buffer.from('prompt,completion\nq,a\u00f1o\n', 'latin1')
    await expect(read(content, 'data.csv')).rejects.toMatchObject({
      code: 'unprocessable',
      message: expect.stringContaining('UTF-8'),
    })
  })

  test('no more than ten lines of each reason are shown, but all are counted', async () => {
    const found = await read(line('a') + '{\n'.repeat(25))
    expect(found.report.refused).toMatchObject([
      { reason: 'broken-json', count: 25, examples: Array(10).fill(expect.anything()) },
    ])
  })

  test('fields that say nothing here', async () => {
    const found = await read('{"text":"a","id":1}\n{"text":"b","id":2,"meta":{}}\n')
    expect(found.report.ignoredFields).toEqual([
      { field: 'id', count: 2, lines: [1, 2] },
      { field: 'meta', count: 1, lines: [2] },
    ])
  })
})

test('rows that are the same, and other answers to the same question, are flagged and told', async () => {
  const content = [chat('q one', 'a'), chat('q two', 'b'), chat('q one', 'c'), chat('q one', 'a')]
    .map((example) => `${JSON.stringify(example)}\n`)
    .join('')
  const found = await read(content)
  expect(found.rows.map(({ flags }) => flags)).toEqual([[], [], ['other-answer'], ['duplicate']])
  expect(found.report.flags).toEqual([
    { flag: 'other-answer', count: 1, examples: [{ line: 3, firstLine: 1 }] },
    { flag: 'duplicate', count: 1, examples: [{ line: 4, firstLine: 1 }] },
  ])
})

test('pairs of answers are compared by their question and both answers', async () => {
  const pair = (prompt: string, chosen: string, rejected: string) => `${JSON.stringify({ prompt, chosen, rejected })}\n`
  const found = await read(pair('q one', 'a', 'b') + pair('q one', 'a', 'c') + pair('q two', 'a', 'b') + pair('q one', 'a', 'b'))
  expect(found.rows.map(({ flags }) => flags.filter((flag) => flag !== 'near-duplicate'))).toEqual([
    [],
    ['other-answer'],
    [],
    ['duplicate'],
  ])
})

async function* cut(bytes: Buffer, sizes: readonly number[]): AsyncGenerator<Buffer> {
  let start = 0
  for (const size of sizes) {
    yield bytes.subarray(start, start + size)
    start += size
  }
  yield bytes.subarray(start)
}

const sizes = fc.array(fc.integer({ min: 0, max: 20 }), { maxLength: 20 })

test('a list of JSON gives its elements, however it is laid out and wherever the file is cut', async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(fc.jsonValue()), fc.integer({ min: 0, max: 3 }), sizes, async (values, indent, cuts) => {
      const found: unknown[] = []
      for await (const { bytes, isCut } of splitList(cut(Buffer.from(JSON.stringify(values, null, indent)), cuts), 1e6)) {
        expect(isCut).toBeUndefined()
        found.push(JSON.parse(String(bytes)))
      }
      expect(found).toEqual(JSON.parse(JSON.stringify(values)))
    }),
  )
})

test('lines are the same wherever the file is cut', async () => {
  await fc.assert(
    fc.asyncProperty(fc.string({ unit: fc.constantFrom('a', 'ñ', '\n', '\r', ' ') }), sizes, async (text, cuts) => {
      const counts = { crlfLines: 0, emptyLines: 0 }
      const found: string[] = []
      for await (const { line: number, bytes } of splitLines(cut(Buffer.from(text), cuts), 1e6, counts))
        found[number] = String(bytes)
      const expected = text.split('\n').flatMap((one) => (one.trim() === '' ? [] : [one.replace(/\r$/, '')]))
      expect(Object.values(found)).toEqual(expected)
    }),
  )
})
