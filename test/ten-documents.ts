import { makeDocx, makeEpub, makePdf, type PdfText } from './document-files.ts'

/** A document that holds one fact, and where. */
export type FactDocument = Readonly<{
  name: string
  bytes: Uint8Array
  /** Words of the sentence that holds the fact. */
  fact: string
  /** Undefined in formats without pages. */
  page?: number
  /** How the path of headings above it ends; undefined where the format has none. */
  section?: string
}>

const harbours = ['Vigo', 'Cádiz', 'Bilbao', 'Valencia', 'Málaga', 'Gijón', 'Almería', 'Alicante', 'Huelva', 'Santander']
const factOf = (index: number) => `The lighthouse of ${harbours[index]} is ${31 + index * 7} metres tall`
const utf8 = (text: string) => new Uint8Array(Buffer.from(text))

/** Sentences about nothing in particular, other ones for each place. */
function filler(seed: number, sentences: number): string {
  const subjects = ['The crew', 'A pilot', 'The harbour master', 'Every fisherman', 'The old sailor', 'A visitor']
  const verbs = ['watches', 'describes', 'remembers', 'measures', 'paints', 'avoids']
  const objects = [
    'the tide at dawn',
    'the colour of the sails',
    'a storm of long ago',
    'the smell of tar',
    'the nets on the quay',
  ]
  const pick = (list: readonly string[], index: number) => list[index % list.length]
  return Array.from(
    { length: sentences },
    (_, index) => `${pick(subjects, seed + index)} ${pick(verbs, seed * 3 + index)} ${pick(objects, seed * 5 + index * 2)}.`,
  ).join(' ')
}

function wrap(text: string, width = 80): PdfText[] {
  const lines: string[] = []
  for (const word of text.split(' ')) {
    const last = lines.at(-1)
    if (last === undefined || last.length + word.length >= width) lines.push(word)
    else lines[lines.length - 1] = `${last} ${word}`
  }
  return lines.map((line) => ({ text: line }))
}

/** Pages from 3 to 12, the fact on a different one in each, sometimes the first or the last. */
export const pdfDocuments: readonly FactDocument[] = harbours.map((_, index) => {
  const pages = 3 + index
  const page = index === 9 ? pages : 1 + ((index * 5) % pages)
  const section = `${page}. Part ${page}`
  const content = Array.from({ length: pages }, (_value, at): PdfText[] => [
    ...(index % 3 === 0 ? [{ text: `Running title of book ${index}`, size: 8 }] : []),
    ...(at === 0 ? [{ text: `Book ${index} about harbours`, size: 24 }] : []),
    { text: `${at + 1}. Part ${at + 1}`, size: 16 },
    ...wrap(filler(index + at, 8)),
    { text: '' },
    ...(at + 1 === page ? wrap(`${factOf(index)}. ${filler(at, 2)}`) : wrap(filler(index * 2 + at, 6))),
    ...(index % 2 === 0 ? [{ text: '' }, { text: String(at + 1), size: 8, x: 290 }] : []),
  ])
  const options = {
    compressed: index % 2 === 1,
    encoding: index % 4 === 3 ? ('MacRomanEncoding' as const) : ('WinAnsiEncoding' as const),
    fonts: index % 2 === 0 ? (['Helvetica', 'Times-Roman'] as const) : (['Times-Roman', 'Courier'] as const),
    ...(index % 5 === 0 ? { title: `Harbours ${index}` } : {}),
  }
  // Mac OS Roman has other codes for the accents: those of this one are left out.
  const plain = (text: string) => (index % 4 === 3 ? text.normalize('NFD').replace(/\p{M}/gu, '') : text)
  const bytes = makePdf(
    content.map((lines) => lines.map((line) => ({ ...line, text: plain(line.text) }))),
    options,
  )
  return { name: `book-${index}.pdf`, bytes, fact: plain(factOf(index)), page, section }
})

export const docxDocuments: readonly FactDocument[] = harbours.map((harbour, index) => {
  const inTable = index % 3 === 2
  const fact = inTable ? `Harbour: ${harbour}; Height: ${31 + index * 7} metres` : factOf(index)
  const place = inTable
    ? ({
        rows: [
          ['Harbour', 'Height'],
          ['Elsewhere', '9 metres'],
          [harbour, `${31 + index * 7} metres`],
        ],
      } as const)
    : index % 3 === 1
      ? ({ item: factOf(index) } as const)
      : ({ text: `${filler(index, 3)} ${factOf(index)}.` } as const)
  const bytes = makeDocx(
    [
      { text: `Report ${index}`, style: 'Title' },
      { heading: 'Overview', level: 1 },
      { text: filler(index, 12) },
      { heading: `Lights of ${harbour}`, level: 1 },
      { heading: 'Heights', level: 2 },
      { text: filler(index + 1, 4) },
      place,
      { heading: 'Notes', level: 2 },
      { text: filler(index + 2, 10) },
    ],
    index % 2 === 0 ? `Report ${index}` : undefined,
  )
  return { name: `report-${index}.docx`, bytes, fact, section: `Lights of ${harbour} > Heights` }
})

export const htmlDocuments: readonly FactDocument[] = harbours.map((harbour, index) => {
  const body = `<h1>${harbour}</h1><p>${filler(index, 10)}</p><h2>History</h2><p>${filler(index + 1, 10)}</p>
    <h2>Lights</h2><div><div><p>${filler(index + 2, 3)}</p><p>${factOf(index)}, <em>they say</em>.</p></div></div><h2>End</h2><p>${filler(3, 8)}</p>`
  const framed = `<nav><ul><li><a href="/">Home</a></li></ul></nav><main><article>${body}</article></main><aside>Advertisement</aside>`
  const page = `<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>${harbour} – Harbours</title></head><body>${index % 2 ? framed : body}</body></html>`
  return { name: `page-${index}.html`, bytes: utf8(page), fact: factOf(index), section: 'Lights' }
})

export const markdownDocuments: readonly FactDocument[] = harbours.map((harbour, index) => {
  const headings = index % 2 ? [`# ${harbour}`, '## Lights'] : [`${harbour}\n======`, 'Lights\n------']
  const matter = index % 3 === 0 ? `---\ntitle: About ${harbour}\n---\n` : ''
  const fact = index % 3 === 2 ? `- **one**\n- ${factOf(index)}\n  - and *inner*` : `${filler(1, 2)} ${factOf(index)}.`
  const text = `${matter}${headings[0]}\n\n${filler(index, 9)}\n\n\`\`\`sh\nls # not a heading\n\n# neither\n\`\`\`\n\n${headings[1]}\n\n${fact}\n\n### Other\n\n${filler(2, 6)}\n`
  return { name: `notes-${index}.md`, bytes: utf8(text), fact: factOf(index), section: `${harbour} > Lights` }
})

const encodings = ['utf8', 'latin1', 'utf16le'] as const

export const textDocuments: readonly FactDocument[] = harbours.map((_, index) => {
  const encoding = encodings[index % 3] ?? 'utf8'
  const pages = 2 + (index % 4)
  const page = 1 + (index % pages)
  const hasPages = index % 2 === 0
  const parts = Array.from({ length: pages }, (_value, at) => {
    const heading = `${at + 1}. Chapter about ships`
    const fact = at + 1 === page ? `${factOf(index)}. ` : ''
    return `${heading}\n\n${fact}${filler(index + at, 12)}\n\n${filler(at, 4)}\n`
  })
  const text = parts.join(hasPages ? '\f' : '\n')
  const mark = encoding === 'utf16le' ? '\ufeff' : ''
  const bytes = new Uint8Array(Buffer.from(mark + text, encoding))
  return {
    name: `log-${index}.txt`,
    bytes,
    fact: factOf(index),
    section: `${page}. Chapter about ships`,
    ...(hasPages ? { page } : {}),
  }
})

const delimiters = [',', ';', '\t', '|']

export const csvDocuments: readonly FactDocument[] = harbours.map((harbour, index) => {
  const delimiter = delimiters[index % 4] ?? ','
  const rows = Array.from({ length: 40 }, (_, at) =>
    at === 13 + index
      ? [harbour, String(31 + index * 7), `"said ""tall""${delimiter} by all"`]
      : [`Cape ${at}`, String(at + 2), 'low'],
  )
  const text = [['Harbour', 'Height in metres', 'Remark'], ...rows]
    .map((row) => row.join(delimiter))
    .join(index % 2 ? '\r\n' : '\n')
  return {
    name: index % 4 === 2 ? `list-${index}.tsv` : `list-${index}.csv`,
    bytes: utf8((index % 3 === 0 ? '\ufeff' : '') + text),
    fact: `Harbour: ${harbour}; Height in metres: ${31 + index * 7}; Remark: said "tall"${delimiter === '\t' ? '' : delimiter} by all`,
  }
})

export const epubDocuments: readonly FactDocument[] = harbours.map((harbour, index) => {
  const chapters = Array.from({ length: 3 + (index % 3) }, (_, at) => {
    const fact = at === index % 3 ? `<p>${filler(at, 2)} ${factOf(index)}.</p>` : ''
    return {
      file: `text/chapter ${9 - at}.xhtml`,
      body: `<h1>Chapter ${at + 1}</h1><p>${filler(index + at, 9)}<br/>${filler(at, 1)}</p><a id="x"/><h2>Lights</h2>${fact}<p>${filler(at + 4, 4)}</p>`,
    }
  })
  const bytes = makeEpub(`The sea at ${harbour}`, chapters)
  return { name: `sea-${index}.epub`, bytes, fact: factOf(index), section: `Chapter ${(index % 3) + 1} > Lights` }
})

type Source = Readonly<{
  ending: string
  comment: string
  define: (name: string, body: string) => string
  section: (name: string) => string
}>

const braces = (head: string) => (name: string, body: string) => `${head.replace('NAME', name)} {\n${body}\n\n}\n`
const plainName = (name: string) => name
const sources: readonly Source[] = [
  { ending: 'ts', comment: '//', define: braces('export function NAME(): number'), section: plainName },
  { ending: 'py', comment: '#', define: (name, body) => `def ${name}():\n${body}\n    return 1\n`, section: plainName },
  { ending: 'go', comment: '//', define: braces('func NAME() int'), section: plainName },
  { ending: 'rs', comment: '//', define: braces('pub fn NAME() -> u32'), section: plainName },
  { ending: 'c', comment: '//', define: braces('static int NAME(void)'), section: plainName },
  { ending: 'java', comment: '//', define: braces('class NAME'), section: plainName },
  { ending: 'rb', comment: '#', define: (name, body) => `def ${name}\n${body}\nend\n`, section: plainName },
  { ending: 'php', comment: '//', define: braces('function NAME()'), section: plainName },
  { ending: 'kt', comment: '//', define: braces('fun NAME(): Int'), section: plainName },
  { ending: 'sh', comment: '#', define: braces('function NAME'), section: plainName },
]

export const codeDocuments: readonly FactDocument[] = sources.map(({ ending, comment, define, section }, index) => {
  const parts = Array.from({ length: 6 }, (_, at) => {
    const note = at === 3 ? factOf(index) : filler(at, 2)
    return define(`part${at}`, `    ${comment} ${note}\n\n    ${comment} ${filler(at + index, 3)}`)
  })
  return { name: `program.${ending}`, bytes: utf8(parts.join('\n')), fact: factOf(index), section: section('part3') }
})

export const tenOfEach: Readonly<Record<string, readonly FactDocument[]>> = {
  PDF: pdfDocuments,
  DOCX: docxDocuments,
  HTML: htmlDocuments,
  Markdown: markdownDocuments,
  text: textDocuments,
  CSV: csvDocuments,
  EPUB: epubDocuments,
  code: codeDocuments,
}
