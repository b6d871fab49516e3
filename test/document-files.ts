import { deflateSync } from 'node:zlib'
import { strToU8, zipSync } from 'fflate'

/** A line of a page: its text, and how large it is set. */
export type PdfText = Readonly<{ text: string; size?: number; x?: number; font?: 'F1' | 'F2' }>

export type PdfOptions = Readonly<{
  title?: string
  compressed?: boolean
  /** Widths as a real font program has them, or the reader's own of a standard font. */
  encoding?: 'WinAnsiEncoding' | 'MacRomanEncoding'
  fonts?: readonly [string, string]
  /** Replaces a page's content stream. */
  raw?: readonly string[]
  encrypted?: boolean
  /** Bookmarks, each with those below it. */
  outline?: ReadonlyArray<readonly [title: string, ...below: readonly string[]]>
}>

const latin1 = (text: string) => Buffer.from(text, 'latin1')

/** A PDF with these lines on its pages, from the top of each. */
export function makePdf(pages: ReadonlyArray<readonly PdfText[]>, options: PdfOptions = {}): Uint8Array {
  const { compressed = false, encoding = 'WinAnsiEncoding', fonts = ['Helvetica', 'Times-Roman'], raw } = options
  const contents = raw ?? pages.map(drawPage)
  const objects: Array<Buffer<ArrayBuffer>> = []
  const add = (body: Buffer<ArrayBuffer> | string) => objects.push(typeof body === 'string' ? latin1(body) : body)
  const first = 5
  const { outline = [] } = options
  // They stand behind the pages.
  const bookmarks = first + contents.length * 2
  add(`<< /Type /Catalog /Pages 2 0 R${outline.length === 0 ? '' : ` /Outlines ${bookmarks} 0 R`} >>`)
  add(`<< /Type /Pages /Count ${contents.length} /Kids [${contents.map((_, index) => `${first + index * 2} 0 R`).join(' ')}] >>`)
  for (const font of fonts) add(`<< /Type /Font /Subtype /Type1 /BaseFont /${font} /Encoding /${encoding} >>`)
  for (const [index, content] of contents.entries()) {
    const resources = '<< /Font << /F1 3 0 R /F2 4 0 R >> >>'
    add(`<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Resources ${resources} /Contents ${first + index * 2 + 1} 0 R >>`)
    const body = compressed ? Buffer.from(deflateSync(latin1(content))) : latin1(content)
    const filter = compressed ? '/Filter /FlateDecode ' : ''
    add(Buffer.concat([latin1(`<< ${filter}/Length ${body.length} >>\nstream\n`), body, latin1('\nendstream')]))
  }
  if (outline.length > 0) for (const body of drawOutline(outline, bookmarks)) add(body)
  if (options.title !== undefined) add(`<< /Title (${quote(options.title)}) >>`)
  const info = options.title === undefined ? '' : ` /Info ${objects.length} 0 R`
  const encrypt = options.encrypted
    ? ` /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <${'41'.repeat(32)}> /U <${'42'.repeat(32)}> >> /ID [<00><00>]`
    : ''
  return writeObjects(objects, `/Root 1 0 R${info}${encrypt}`)
}

/** The root, then each bookmark with those below it behind it. */
function drawOutline(outline: NonNullable<PdfOptions['outline']>, root: number): readonly string[] {
  const places = outline.map((_, index) => root + 1 + outline.slice(0, index).reduce((sum, { length }) => sum + length, 0))
  const link = (name: string, place: number | undefined) => (place === undefined ? '' : ` /${name} ${place} 0 R`)
  const items = outline.flatMap(([title, ...below], index) => {
    const own = places[index] ?? 0
    const inner = below.map((text, place) => {
      const next = place + 1 < below.length ? own + place + 2 : undefined
      return `<< /Title (${quote(text)}) /Parent ${own} 0 R${link('Next', next)} >>`
    })
    const ends = below.length === 0 ? '' : ` /First ${own + 1} 0 R /Last ${own + below.length} 0 R`
    return [`<< /Title (${quote(title)}) /Parent ${root} 0 R${link('Next', places[index + 1])}${ends} >>`, ...inner]
  })
  return [`<< /Type /Outlines${link('First', places[0])}${link('Last', places.at(-1))} >>`, ...items]
}

function drawPage(lines: readonly PdfText[]): string {
  let y = 780
  const parts = lines.map(({ text, size = 11, x = 72, font = 'F1' }) => {
    y -= size * 1.3 + (size > 11 ? 8 : 0)
    return text === '' ? '' : `BT /${font} ${size} Tf 1 0 0 1 ${x} ${y.toFixed(2)} Tm (${quote(text)}) Tj ET`
  })
  return parts.join('\n')
}

function quote(text: string): string {
  return text.replace(/[\\()]/g, (sign) => `\\${sign}`)
}

function writeObjects(objects: ReadonlyArray<Buffer<ArrayBuffer>>, trailer: string): Uint8Array {
  const parts = [latin1('%PDF-1.4\n%\xe2\xe3\xcf\xd3\n')]
  const places: number[] = []
  let start = 0
  for (const part of parts) start += part.length
  for (const [index, body] of objects.entries()) {
    places.push(start)
    const object = [latin1(`${index + 1} 0 obj\n`), body, latin1('\nendobj\n')]
    for (const part of object) start += part.length
    parts.push(...object)
  }
  const rows = places.map((place) => `${String(place).padStart(10, '0')} 00000 n \n`).join('')
  parts.push(latin1(`xref\n0 ${objects.length + 1}\n0000000000 65535 f \n${rows}`))
  parts.push(latin1(`trailer\n<< /Size ${objects.length + 1} ${trailer} >>\nstartxref\n${start}\n%%EOF\n`))
  return new Uint8Array(Buffer.concat(parts))
}

/** A PDF of one page that is an image. */
export function makeScan(): Uint8Array {
  return makePdf([[]], { raw: ['q 500 0 0 700 40 40 cm BI /W 2 /H 2 /BPC 8 /CS /G ID \x00\xff\xff\x00 EI Q'] })
}

export type DocxPart =
  | Readonly<{ heading: string; level: number }>
  | Readonly<{ text: string; style?: string }>
  | Readonly<{ item: string }>
  | Readonly<{ picture: string }>
  | Readonly<{ rows: ReadonlyArray<readonly string[]> }>

const xml = (text: string) => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
const run = (text: string) => `<w:r><w:t xml:space="preserve">${xml(text)}</w:t></w:r>`
const paragraph = (text: string, properties = '') =>
  `<w:p>${properties === '' ? '' : `<w:pPr>${properties}</w:pPr>`}${run(text)}</w:p>`

function docxPart(part: DocxPart): string {
  if ('heading' in part) return paragraph(part.heading, `<w:pStyle w:val="Heading${part.level}"/>`)
  if ('item' in part) return paragraph(part.item, '<w:numPr><w:ilvl w:val="0"/><w:numId w:val="1"/></w:numPr>')
  if ('picture' in part)
    return '<w:p><w:r><w:drawing><wp:inline xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing"><a:graphic xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main"><a:graphicData><pic:pic xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture"><pic:blipFill><a:blip xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships" r:embed="r3"/></pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline></w:drawing></w:r></w:p>'
  if ('rows' in part) {
    const cells = (row: readonly string[]) => row.map((cell) => `<w:tc>${paragraph(cell)}</w:tc>`).join('')
    return `<w:tbl>${part.rows.map((row) => `<w:tr>${cells(row)}</w:tr>`).join('')}</w:tbl>`
  }
  return paragraph(part.text, part.style === undefined ? '' : `<w:pStyle w:val="${part.style}"/>`)
}

export function makeDocx(parts: readonly DocxPart[], title?: string): Uint8Array {
  const word = 'http://schemas.openxmlformats.org/wordprocessingml/2006/main'
  const packages = 'http://schemas.openxmlformats.org/package/2006'
  const office = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships'
  const types = 'application/vnd.openxmlformats-officedocument.wordprocessingml'
  const styles = [1, 2, 3]
    .map((level) => `<w:style w:type="paragraph" w:styleId="Heading${level}"><w:name w:val="heading ${level}"/></w:style>`)
    .concat('<w:style w:type="paragraph" w:styleId="Title"><w:name w:val="Title"/></w:style>')
    .join('')
  const level = '<w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/></w:lvl>'
  const numbering = `<w:abstractNum w:abstractNumId="0">${level}</w:abstractNum><w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>`
  const relation = (id: string, type: string, target: string) =>
    `<Relationship Id="${id}" Type="${office}/${type}" Target="${target}"/>`
  const core = `<cp:coreProperties xmlns:cp="${packages}/metadata/core-properties" xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>${xml(title ?? '')}</dc:title></cp:coreProperties>`
  return zipTexts({
    '[Content_Types].xml': `<Types xmlns="${packages}/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Override PartName="/word/document.xml" ContentType="${types}.document.main+xml"/><Override PartName="/word/styles.xml" ContentType="${types}.styles+xml"/><Override PartName="/word/numbering.xml" ContentType="${types}.numbering+xml"/></Types>`,
    '_rels/.rels': `<Relationships xmlns="${packages}/relationships">${relation('r1', 'officeDocument', 'word/document.xml')}</Relationships>`,
    'word/_rels/document.xml.rels': `<Relationships xmlns="${packages}/relationships">${relation('r1', 'styles', 'styles.xml')}${relation('r2', 'numbering', 'numbering.xml')}${relation('r3', 'image', 'media/a.png')}</Relationships>`,
    'word/styles.xml': `<w:styles xmlns:w="${word}">${styles}</w:styles>`,
    'word/numbering.xml': `<w:numbering xmlns:w="${word}">${numbering}</w:numbering>`,
    'word/document.xml': `<w:document xmlns:w="${word}"><w:body>${parts.map(docxPart).join('')}</w:body></w:document>`,
    ...(title === undefined ? {} : { 'docProps/core.xml': core }),
  })
}

export type Chapter = Readonly<{ file: string; body: string }>

/** An EPUB; the spine is in the order of the chapters, the archive in the reverse. */
export function makeEpub(title: string, chapters: readonly Chapter[]): Uint8Array {
  const items = chapters.map(
    ({ file }, index) => `<item id="c${index}" href="${encodeURI(file)}" media-type="application/xhtml+xml"/>`,
  )
  const spine = chapters.map((_, index) => `<itemref idref="c${index}"/>`)
  const page = (body: string) =>
    `<?xml version="1.0" encoding="utf-8"?><!DOCTYPE html><html xmlns="http://www.w3.org/1999/xhtml"><head><title/></head><body>${body}</body></html>`
  return zipTexts({
    mimetype: 'application/epub+zip',
    ...Object.fromEntries(chapters.toReversed().map(({ file, body }) => [`OEBPS/${file}`, page(body)])),
    'OEBPS/book.opf': `<?xml version="1.0"?><package xmlns="http://www.idpf.org/2007/opf" xmlns:dc="http://purl.org/dc/elements/1.1/" version="3.0"><metadata><dc:title>${xml(title)}</dc:title></metadata><manifest>${items.join('')}</manifest><spine>${spine.join('')}</spine></package>`,
    'META-INF/container.xml':
      '<?xml version="1.0"?><container xmlns="urn:oasis:names:tc:opendocument:xmlns:container" version="1.0"><rootfiles><rootfile full-path="OEBPS/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>',
  })
}

export function zipTexts(files: Readonly<Record<string, string>>): Uint8Array {
  return zipSync(Object.fromEntries(Object.entries(files).map(([path, text]) => [path, strToU8(text)])))
}
