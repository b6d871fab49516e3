import { describe, expect, test } from 'vitest'
import { isDocumentName } from '../../src/rag/extract/detect-format.ts'
import { type Extracted, extract } from '../../src/rag/extract/extract.ts'
import { listArchive } from '../../src/rag/extract/unzip.ts'
import { makeDocx, makeEpub, makePdf, zipTexts } from '../document-files.ts'

const bytesOf = (text: string, encoding: BufferEncoding = 'utf8') => new Uint8Array(Buffer.from(text, encoding))
const read = (content: string | Uint8Array, name: string, mediaType?: string): Promise<Extracted> =>
  extract(typeof content === 'string' ? bytesOf(content) : content, { name, ...(mediaType === undefined ? {} : { mediaType }) })
const pathsOf = ({ sections }: Extracted) => sections.map(({ path }) => path)

const page = [{ text: 'Here is text.' }]
const scanned = Array.from({ length: 11 }, () => [])

describe('a file is refused with the reason', () => {
  test.each<[string, Uint8Array, string, string]>([
    ['a DOCX named .pdf', makeDocx([{ text: 'a' }]), 'a.pdf', 'its content is DOCX'],
    ['a picture', bytesOf('RIFF\0\0\0\0WEBPVP8 ', 'latin1'), 'a.webp', 'image'],
    ['a sound', bytesOf('RIFF\0\0\0\0WAVEfmt ', 'latin1'), 'a.wav', 'audio or video'],
    ['a film', bytesOf('\0\0\0\x18ftypmp42', 'latin1'), 'a.mp4', 'audio or video'],
    ['slides', zipTexts({ '[Content_Types].xml': '', 'ppt/presentation.xml': '' }), 'a.pptx', 'PowerPoint'],
    ['an office document of no known kind', zipTexts({ '[Content_Types].xml': '' }), 'a.xyz', 'ZIP archive'],
    ['OpenDocument', zipTexts({ 'content.xml': '', 'META-INF/manifest.xml': '' }), 'a.odt', 'OpenDocument'],
    ['UTF-32', bytesOf('\xff\xfe\0\0a\0\0\0', 'latin1'), 'a.txt', 'UTF-32'],
    ['UTF-32 the other way round', bytesOf('\0\0\xfe\xff\0\0\0a', 'latin1'), 'a.txt', 'UTF-32'],
    ['zeros among an even number of bytes', bytesOf('a\0b\0cdefghijklmnop\0\0\0'), 'a.txt', 'binary'],
    ['a cell without an end', bytesOf(`a,b\n"${'x'.repeat(1_100_000)}`), 'a.csv', 'no table'],
    ['a DOCX without its text', zipTexts({ '[Content_Types].xml': '', 'word/styles.xml': '' }), 'a.docx', 'damaged'],
    ['a book that names no chapters', zipTexts({ 'META-INF/container.xml': '<container/>' }), 'a.epub', 'which chapters'],
    [
      'a book whose list of chapters is missing',
      zipTexts({ 'META-INF/container.xml': '<rootfile full-path="a.opf"/>' }),
      'a.epub',
      'which chapters',
    ],
    ['a scan with a page of text', makePdf([page, ...scanned]), 'a.pdf', 'text on 1 of its 12 pages'],
    ['a table of nothing', bytesOf('\n\n \n'), 'a.csv', 'no text'],
  ])('%s', async (_what, bytes, name, reason) => {
    await expect(read(bytes, name)).rejects.toMatchObject({ code: 'unprocessable', message: expect.stringContaining(reason) })
  })

  test('a text that is too long, and an archive of too many files', async () => {
    await expect(read('x'.repeat(20_000_001), 'a.txt')).rejects.toMatchObject({ code: 'too_large' })
    const archive = zipTexts({ a: '', b: '', c: '' })
    expect(() => listArchive(archive, { maxFiles: 2, maxBytes: 9 })).toThrow(expect.objectContaining({ code: 'too_large' }))
  })
})

test.each([
  ['a.constructor', undefined, 'text/plain'],
  ['a.__proto__', undefined, 'text/plain'],
  ['toString', 'constructor', 'text/plain'],
  ['a', 'Text/Markdown; charset=utf-8', 'text/markdown'],
  ['a', 'text/tab-separated-values', 'text/csv'],
  ['a.md', 'text/html', 'text/markdown'],
])('a file named %s, sent as %s, is read as %s', async (name, mediaType, found) => {
  expect((await read('One, two.', name, mediaType)).mediaType).toBe(found)
})

test('a page is known by how it begins, and a source file by its name', async () => {
  const html = '<?xml version="1.0"?>\n<!-- made by hand -->\n<html><body><p>Hello</p></body></html>'
  expect(await read(html, 'index')).toMatchObject({ mediaType: 'text/html', text: 'Hello' })
  const named = ['a.PDF', 'b/Makefile', 'c.tsx', 'notes.rst', 'photo.png', 'a.constructor', 'valueOf', '']
  expect(named.filter(isDocumentName)).toEqual(['a.PDF', 'b/Makefile', 'c.tsx', 'notes.rst'])
})

test.each([
  ['UTF-16BE without a mark', new Uint8Array(Buffer.from('Plain text in two bytes', 'utf16le').swap16()), undefined],
  ['what its sender declares', bytesOf('Plain text in tw\xf3 bytes', 'latin1'), 'text/plain; charset=iso-8859-2'],
  ['UTF-8 that is declared wrongly', bytesOf('Plain text in twó bytes', 'utf8'), 'text/plain; charset=latin1'],
  ['Latin-1 that is declared as UTF-8', bytesOf('Plain text in tw\xf3 bytes', 'latin1'), 'text/plain; charset=utf8'],
  [
    'what is declared as no encoding that there is',
    bytesOf('Plain text in tw\xf3 bytes', 'latin1'),
    'text/plain; charset=klingon',
  ],
])('%s is read as it was written', async (_what, bytes, mediaType) => {
  expect((await read(bytes, 'a.txt', mediaType)).text.replace('ó', 'o')).toBe('Plain text in two bytes')
})

describe('of a page', () => {
  test.each([
    ['a table with no rows but its header', '<table><tr><th>Port</th><th>Depth</th></tr></table>', 'Port; Depth'],
    ['a caption, and no table', '<table><caption>Ports of  Spain</caption></table>', 'Ports of Spain'],
    [
      'cells over several columns',
      '<table><tr><th>A</th><th>B</th><th>C</th></tr><tr><td colspan="2">x</td><td colspan="many">y</td></tr></table>',
      'A: x; C: y',
    ],
    [
      'columns of less than one, or of half a column',
      '<table><tr><th>A</th><th>B</th></tr><tr><td colspan="-5">x</td><td colspan="1.5">y</td></tr></table>',
      'A: x; B: y',
    ],
    [
      'a table for its layout',
      '<table><tr><td><h2>Depth</h2>Twelve metres</td><td>deep</td></tr></table>',
      'Depth\n\nTwelve metres\n\ndeep',
    ],
    ['a heading in two lines', '<h1>Ports<br>of Spain</h1>', 'Ports of Spain'],
    ['code in pieces', '<pre><code>a()<br><b>b</b>(<!-- c -->)</code></pre>', 'a()\nb()'],
    ['what is hidden', '<p>Seen<span hidden>not</span> <b aria-hidden="true">nor</b><i>and heard</i></p>', 'Seen and heard'],
    ['a button in a heading', '<h2>Depth <button>edit</button></h2><p>deep</p>', 'Depth\n\ndeep'],
    ['what has all of it in its frame', '<nav><ul><li>Only<li>here</ul></nav>', 'Only\nhere'],
  ])('%s is read', async (_what, html, text) => {
    expect((await read(`<html><body>${html}</body></html>`, 'a.html')).text).toBe(text)
  })
})

describe('of an office document', () => {
  test.each([
    ['without a name and without a heading', makeDocx([{ text: 'Just text' }]), undefined],
    ['with an empty name', makeDocx([{ heading: 'Boats', level: 1 }], ' '), 'Boats'],
    ['with a name', makeDocx([{ heading: 'Boats', level: 1 }], 'All boats'), 'All boats'],
  ])('%s the title is %#', async (_what, bytes, title) => {
    expect((await read(bytes, 'a.docx')).title).toBe(title)
  })

  test('pictures are left out', async () => {
    expect((await read(makeDocx([{ text: 'Above' }, { picture: 'png' }, { text: 'below' }]), 'a.docx')).text).toBe(
      'Above\n\nbelow',
    )
  })
})

describe('of a book', () => {
  const bookOf = (description: string, files: Readonly<Record<string, string>>) =>
    zipTexts({ 'META-INF/container.xml': '<rootfile full-path="book.opf"/>', 'book.opf': description, ...files })

  test('chapters that are not there are passed over, and places inside of files are not looked for', async () => {
    const book = bookOf(
      `<package><manifest><item id="a" href="a.xhtml#part"/><item id="b" href="gone.xhtml"/><item id="c" href="100%.html"/></manifest>
       <spine><itemref idref="c"/><itemref idref="nobody"/><itemref idref="b"/><itemref idref="a"/></spine></package>`,
      { 'a.xhtml': '<p>Last</p>', '100%.html': '<p>First</p>' },
    )
    expect(await read(book, 'a.epub')).toMatchObject({ text: 'First\n\nLast' })
    expect((await read(book, 'a.epub')).title).toBeUndefined()
  })

  test('its title may be written without a prefix, and obfuscated fonts keep nobody from reading', async () => {
    const book = bookOf(
      '<package><metadata><title>The  Sea</title></metadata><manifest><item id="a" href="a.html"/></manifest><spine><itemref idref="a"/></spine></package>',
      { 'a.html': '<p>Text</p>', 'META-INF/encryption.xml': '<x URI="fonts/a.ttf"/>' },
    )
    expect(await read(book, 'a.epub')).toMatchObject({ title: 'The Sea', text: 'Text' })
    expect((await read(makeEpub('Sea', [{ file: 'a.xhtml', body: '<p>Text</p>' }]), 'a')).mediaType).toBe('application/epub+zip')
  })
})

test.each([
  ['with its header alone', 'Port,Depth\n', 'Port; Depth'],
  ['with columns without a name', 'Port,\nVigo,18 m\n,9 m\n', 'Port: Vigo; 18 m\n9 m'],
  ['with cells beyond its columns', 'Port,Depth\nVigo,18 m,deep\n', 'Port: Vigo; Depth: 18 m; deep'],
])('a table %s is read', async (_what, content, text) => {
  expect((await read(content, 'a.csv')).text).toBe(text)
})

test.each<[string, string, string[]]>([
  ['a comment above what it tells of', '// Opens it.\nfunction open() {}\n\n/* Nothing more. */\n', ['open', '']],
  ['a function of C', '#include <a.h>\n\nstatic char *name_of(int a) {\n}\n', ['', 'name_of']],
  ['statements', 'if (a) b()\n\nimport x\n\nx = 1\n', ['']],
])('in a source file %s tells the label', async (_what, code, paths) => {
  expect(pathsOf(await read(code, 'a.c'))).toEqual(paths)
})

test.each<[string, string, string[]]>([
  ['underlined headings', 'Ports\n=====\n\nDepth\n-----\nDeep enough for ships\n', ['Ports > Depth']],
  ['numbered headings', '1. Ports\n\ntext\n\n1.2 Depth\n\ntext\n', ['1. Ports', '1. Ports > 1.2 Depth']],
  ['parts and chapters', 'PART ONE\n\nChapter 2\n\ntext\n\nBook II\n\ntext\n', ['PART ONE > Chapter 2', 'Book II']],
  ['capitals', 'ALL PORTS\n\ntext\n\nno heading here\n\ntext', ['ALL PORTS']],
  ['what only looks like one', 'ends here.\n\nA\n\nB b\n', ['']],
])('a plain text with %s has its sections', async (_what, content, paths) => {
  expect(pathsOf(await read(content, 'a.txt'))).toEqual(paths)
})

test('a plain text has its list items on lines of their own', async () => {
  const { text } = await read('Buy:\n\n- bread\n- salt\n\n1. go\n2) stay\n\n \f', 'a.txt')
  expect(text).toBe('Buy:\n\n- bread\n- salt\n1. go\n2) stay')
})

test('of headings that are too long together, the innermost ones are the path; one that is too long is cut', async () => {
  const heading = (level: number, letter: string) => `${'#'.repeat(level)} ${letter.repeat(70)}\n\ntext\n\n`
  const { sections } = await read(
    `${['a', 'b', 'c'].map((letter, index) => heading(index + 1, letter)).join('')}# ${'d'.repeat(90)}\n\ntext`,
    'a.md',
  )
  expect(sections.map(({ path }) => path.length)).toEqual([70, 143, 143, 80])
  expect(sections.map(({ path }) => path.replace(/(.)\1+/g, '$1'))).toEqual(['a', 'a > b', 'b > c', 'd…'])
})

test('a text without a space in thousands of letters loses none of them, and is cut through no character', async () => {
  const long = `a${'🙂'.repeat(15_000)} ${'word '.repeat(5_000)}`
  const { text, sections } = await read(long, 'a.txt')
  const units = sections.flatMap((section) => section.units).map(({ start, end }) => text.slice(start, end))
  expect(units.every((unit) => unit.isWellFormed())).toBe(true)
  expect(units.join('').replaceAll(' ', '')).toBe(long.replaceAll(' ', ''))
})

test('a file of nothing but a mark of its encoding has no text', async () => {
  await expect(read('\ufeff', 'a.txt')).rejects.toMatchObject({ code: 'unprocessable' })
})
