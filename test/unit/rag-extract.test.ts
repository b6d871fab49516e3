import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { zipSync } from 'fflate'
import { expect, test } from 'vitest'
import { extract } from '../../src/rag/extract/extract.ts'
import { unzip } from '../../src/rag/extract/unzip.ts'
import { type Chunk, splitText } from '../../src/rag/split-text.ts'
import { makeDocx, makeEpub, makePdf, makeScan, zipTexts } from '../document-files.ts'

const bytesOf = (text: string, encoding: BufferEncoding = 'utf8') => new Uint8Array(Buffer.from(text, encoding))
const countWords = async (texts: readonly string[]) => texts.map((text) => text.match(/\S+/g)?.length ?? 0)

async function chunksOf(bytes: Uint8Array, name: string, mediaType?: string): Promise<Chunk[]> {
  const extracted = await extract(bytes, { name, ...(mediaType === undefined ? {} : { mediaType }) })
  return splitText(extracted, { chunkTokens: 60, windowTokens: 100 }, countWords)
}

const textOf = async (bytes: Uint8Array, name: string) => (await extract(bytes, { name })).text

test.each([
  ['nothing at all', new Uint8Array(), 'a.txt', 'empty'],
  ['only spaces', bytesOf(' \n\t '), 'a.txt', 'no text'],
  ['an image in a PDF', makeScan(), 'scan.pdf', 'OCR'],
  ['a PDF that is encrypted', makePdf([[{ text: 'Secret' }]], { encrypted: true }), 'a.pdf', 'password'],
  ['a broken PDF', bytesOf('%PDF-1.7\nnothing of a PDF follows'), 'a.pdf', 'damaged'],
  ['a ZIP archive named .pdf', zipTexts({ 'a.txt': 'hello' }), 'a.pdf', 'ZIP'],
  ['a text named .pdf', bytesOf('Just a text'), 'a.pdf', 'something else'],
  ['an archive', zipTexts({ 'a.txt': 'hello' }), 'a.zip', 'ZIP'],
  ['a workbook', zipTexts({ '[Content_Types].xml': '', 'xl/workbook.xml': '' }), 'a.xlsx', 'CSV'],
  ['a cut archive', zipTexts({ 'word/document.xml': 'x', '[Content_Types].xml': '' }).subarray(0, 60), 'a.docx', 'damaged'],
  ['zero bytes in a text', bytesOf('some text \0 and more, long enough'), 'a.txt', 'binary'],
  ['an image', bytesOf('\x89PNG\r\n\x1a\n', 'latin1'), 'a.png', 'image'],
  ['letters without meaning', bytesOf('\ufffd\ue000\ue001 a b'.repeat(50)), 'a.txt', 'garbled'],
  [
    'a book that is protected',
    zipTexts({ 'META-INF/container.xml': '<a/>', 'META-INF/encryption.xml': '<x URI="OEBPS/a.xhtml"/>' }),
    'a.epub',
    'protected',
  ],
])('%s is refused with the reason', async (_what, bytes, name, reason) => {
  await expect(extract(bytes, { name })).rejects.toMatchObject({
    code: 'unprocessable',
    message: expect.stringContaining(reason),
  })
})

test('an archive that unpacks to too much is refused before it is unpacked', async () => {
  const bomb = zipTexts({ '[Content_Types].xml': '', 'word/document.xml': ' '.repeat(300 * 1024 ** 2) })
  expect(bomb.length).toBeLessThan(1024 ** 2)
  const before = process.memoryUsage().arrayBuffers
  await expect(extract(bomb, { name: 'bomb.docx' })).rejects.toMatchObject({ code: 'too_large' })
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(50 * 1024 ** 2)
})

/** The archive, claiming in its directory that each file unpacks to nothing. */
function claimNothing(archive: Uint8Array): Uint8Array {
  const bytes = Buffer.from(archive)
  for (let at = bytes.indexOf('PK\x01\x02'); at !== -1; at = bytes.indexOf('PK\x01\x02', at + 4)) bytes.writeUInt32LE(0, at + 24)
  return new Uint8Array(bytes)
}

const noise = randomBytes(1000)
const sized = { maxFiles: 2, maxBytes: 1500 }

test.each([
  ['stored files that claim to be empty', claimNothing(zipSync({ a: noise, b: noise }, { level: 0 })), 'unprocessable'],
  ['a large compressed file that claims to be empty', claimNothing(zipSync({ a: randomBytes(2000) }, { level: 9 })), 'too_large'],
  ['files that take too much together', zipSync({ a: noise, b: noise }, { level: 0 }), 'too_large'],
  ['too many files', zipTexts({ a: '', b: '', c: '' }), 'too_large'],
])('an archive of %s is refused', (_what, archive, code) => {
  expect(() => unzip(archive, () => true, sized)).toThrow(expect.objectContaining({ code }))
})

test('stored files come out as they went in', () => {
  expect(unzip(zipSync({ a: noise }, { level: 0 }), () => true, sized)).toEqual(new Map([['a', new Uint8Array(noise)]]))
})

const spanish = 'El niño comió piñas en Cádiz; después fue a la playa y escribió una canción sobre el otoño y la lluvia.'
const russian =
  'Маяк на северном мысе был построен в 1874 году, и его свет виден за тридцать миль в ясные ночи. Корабли входят в гавань.'

test.each([
  ['UTF-8', bytesOf(spanish), spanish],
  ['UTF-8 with a mark', bytesOf(`\ufeff${spanish}`), spanish],
  ['UTF-16LE with a mark', bytesOf(`\ufeff${spanish}`, 'utf16le'), spanish],
  ['UTF-16BE with a mark', new Uint8Array(Buffer.from(`\ufeff${spanish}`, 'utf16le').swap16()), spanish],
  ['UTF-16LE without a mark', bytesOf(spanish, 'utf16le'), spanish],
  ['Latin-1', bytesOf(spanish, 'latin1'), spanish],
  ['four letters of Latin-1', bytesOf('niño', 'latin1'), 'niño'],
  ['Latin-1 with signs of Windows', new Uint8Array([...bytesOf('caf\xe9 ', 'latin1'), 0x93, 0x61, 0x94, 0x80]), 'café “a”€'],
  ['windows-1251', Uint8Array.from(russian, (letter) => toWindows1251(letter)), russian],
])('%s is read as it was written', async (_name, bytes, text) => {
  expect(await textOf(bytes, 'a.txt')).toBe(text)
})

function toWindows1251(letter: string): number {
  const code = letter.codePointAt(0) ?? 0
  if (code >= 0x410 && code <= 0x44f) return code - 0x410 + 0xc0
  return code === 0x451 ? 0xb8 : code
}

test('Shift_JIS and what a page says of its encoding are followed', async () => {
  const japanese = await readFile(new URL('../fixtures/shift-jis.txt', import.meta.url))
  expect(await textOf(japanese, 'a.txt')).toContain('日本語')
  const page = bytesOf('<html><head><meta charset="iso-8859-2"></head><body><p>Za\xbf\xf3\xb3\xe6</p></body></html>', 'latin1')
  expect(await textOf(page, 'a.html')).toContain('Zażółć')
})

test('pages, headings, lists and running lines of a PDF', async () => {
  const page = (number: number, lines: readonly { text: string; size?: number }[]) => [
    { text: 'Handbook of the harbour', size: 8 },
    ...lines,
    ...Array.from({ length: 46 }, () => ({ text: '' })),
    { text: `Page ${number} of 3`, size: 8 },
  ]
  const pdf = makePdf([
    page(1, [
      { text: 'Harbours', size: 22 },
      { text: 'A harbour shelters ships from the waves, and connec-' },
      { text: 'ted quays serve them.' },
    ]),
    page(2, [
      { text: 'Depth', size: 16 },
      { text: 'The basin is 12 metres deep.' },
      { text: '- pilots are on channel 12' },
      { text: '- tugs are on channel 9' },
    ]),
    page(3, [{ text: 'Fees', size: 16 }, { text: 'A night costs 30 euros (2026).' }]),
  ])
  const { title, pages, text } = await extract(pdf, { name: 'h.pdf' })
  expect({ title, pages }).toEqual({ title: 'Harbours', pages: 3 })
  expect(text).not.toMatch(/Handbook|Page \d/)
  expect(text).toContain('connected quays')
  const chunks = await chunksOf(pdf, 'h.pdf')
  expect(chunks.map(({ page: first, section }) => [first, section])).toEqual([
    [1, 'Harbours'],
    [2, 'Harbours > Depth'],
    [3, 'Harbours > Fees'],
  ])
  expect(chunks[1]?.text).toContain('- pilots are on channel 12\n- tugs are on channel 9')
})

test('pages of a PDF that have no text are told beside those that have', async () => {
  const { pagesWithoutText } = await extract(makePdf([[{ text: 'Here is text.' }], []]), { name: 'a.pdf' })
  expect(pagesWithoutText).toBe(1)
})

test('a PDF whose letters mean nothing is refused', async () => {
  const shifted = (text: string) =>
    text.replace(/[a-zA-Z]/g, (letter) =>
      String.fromCharCode(letter.charCodeAt(0) < 91 ? 66 + (letter.charCodeAt(0) % 2) : 98 + (letter.charCodeAt(0) % 2)),
    )
  const lines = Array.from({ length: 20 }, (_, index) => ({
    text: shifted(`Sentence number ${index} would tell something if its letters were right`),
  }))
  await expect(extract(makePdf([lines]), { name: 'a.pdf' })).rejects.toMatchObject({
    code: 'unprocessable',
    message: expect.stringContaining('garbled'),
  })
})

test('what is around the content of a page is left out, headings stay', async () => {
  const paragraph =
    'The lighthouse of the northern cape was built in 1874, and its lamp is seen from thirty miles away in clear nights. '
  const html = `<html><head><title>Lighthouses – Site</title></head><body><nav><ul><li><a href="/">Home</a></li></ul></nav>
    <main><article><h1>Lighthouses</h1><p>${paragraph.repeat(4)}</p><h2>Lamps</h2><p>${paragraph.repeat(3)}</p>
    <pre><code>lamp.on()
  wait(3)</code></pre></article></main><footer>All rights reserved</footer><script>track()</script></body></html>`
  const { title, text, sections } = await extract(bytesOf(html), { name: 'a.html' })
  expect(title).toBe('Lighthouses – Site')
  expect(text).not.toMatch(/Home|rights|track/)
  expect(text).toContain('lamp.on()\n  wait(3)')
  expect(sections.map(({ path }) => path)).toEqual(['Lighthouses', 'Lighthouses > Lamps'])
})

test('a page that is no article is read whole', async () => {
  const rows = Array.from({ length: 30 }, (_, index) => `<div><a href="/${index}">Station ${index}</a></div>`).join('')
  const text = await textOf(bytesOf(`<!doctype html><title>Stations</title><h2>All</h2>${rows}`), 'index')
  expect(text).toContain('Station 0')
  expect(text).toContain('Station 29')
})

test('rows of tables tell their columns, in HTML, Markdown, DOCX and CSV', async () => {
  const row = 'Port: Vigo; Depth: 18 m'
  const table = '<table><tr><th>Port</th><th>Depth</th></tr><tr><td>Vigo</td><td>18 m</td></tr></table>'
  expect(await textOf(bytesOf(`<body>${table}</body>`), 'a.html')).toBe(row)
  expect(await textOf(bytesOf('| Port | Depth |\n|---|---|\n| Vigo | 18 m |'), 'a.md')).toBe(row)
  expect(
    await textOf(
      makeDocx([
        {
          rows: [
            ['Port', 'Depth'],
            ['Vigo', '18 m'],
          ],
        },
      ]),
      'a.docx',
    ),
  ).toBe(row)
  for (const delimiter of [',', ';', '\t', '|'])
    expect(await textOf(bytesOf(`Port${delimiter}Depth\r\n"Vigo"${delimiter}18 m\r\n`), 'a.csv')).toBe(row)
})

test('a table without names of columns keeps its cells', async () => {
  expect(await textOf(bytesOf('1;2;3\n4;5;6\n'), 'a.csv')).toBe('1; 2; 3\n4; 5; 6')
})

test('the chapters of a book come in the order of its spine', async () => {
  const book = makeEpub('The Sea', [
    { file: 'b two.xhtml', body: '<h1>First</h1><p>Begins &amp; goes&nbsp;on.</p>' },
    { file: 'a.xhtml', body: '<h1>Second</h1><p>Ends.</p>' },
  ])
  const { title, text } = await extract(book, { name: 'sea.epub' })
  expect(title).toBe('The Sea')
  expect(text).toBe('First\n\nBegins & goes on.\n\nSecond\n\nEnds.')
})

test('a source file is parted where something new begins, and each part has its name', async () => {
  const code = `import fs from 'node:fs'\n\nexport function open(path) {\n  const a = 1\n\n  return a\n}\n\nclass Boat:\n    def sail(self):\n        pass\n`
  const { sections, text } = await extract(bytesOf(code), { name: 'a.js' })
  expect(sections.map(({ path }) => path)).toEqual(['', 'open', 'Boat'])
  expect(text).toContain('  const a = 1\n\n  return a')
})

test('a text with form feeds has pages', async () => {
  const chunks = await chunksOf(bytesOf('First page.\fSecond page.\fThird page.\f'), 'rfc.txt')
  expect(chunks.map(({ page, lastPage }) => [page, lastPage])).toEqual([[1, 3]])
})

test('Markdown loses none of its text to tags that are only mentioned', async () => {
  expect(await textOf(bytesOf('# A\n\nUse <title> and <script> here, then go on.\n'), 'a.md')).toContain('then go on')
})

test('lines that were broken for their width are joined, others are kept', async () => {
  const wrapped = 'This is the first line of a paragraph that is wrapped at\nsome width and so it is one sentence in the end.'
  expect(await textOf(bytesOf(wrapped), 'a.txt')).toBe(wrapped.replace('\n', ' '))
  expect(await textOf(bytesOf('Roses are red\nViolets are blue'), 'a.txt')).toBe('Roses are red\nViolets are blue')
})
