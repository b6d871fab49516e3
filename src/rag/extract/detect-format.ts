import { AppError } from '../../errors.ts'
import { programmingLanguageOf } from './read-code.ts'
import { listArchive } from './unzip.ts'

/** Formats that are text as they stand. */
export type TextFormat = 'html' | 'markdown' | 'csv' | 'code' | 'text'
export type Format = 'pdf' | 'docx' | 'epub' | TextFormat

/** What is known of a file beside its bytes; both may be wrong. */
export type FileHints = Readonly<{ name: string; mediaType?: string }>

/** A format that the bytes prove, or `text`: whether it is HTML, Markdown, … is then for its name and its text to tell. */
export function detectFormat(bytes: Uint8Array, { name }: FileHints): 'pdf' | 'docx' | 'epub' | 'text' {
  const found = formatOfBytes(bytes)
  const promised = /\.(pdf|docx|epub)$/i.exec(name)?.[1]?.toLowerCase()
  if (promised !== undefined && promised !== found) {
    const what = found === 'text' ? 'it holds something else' : `its content is ${describe(found)}`
    throw new AppError('unprocessable', `The file is called .${promised}, but ${what}. Rename it, or save it as ${promised}.`)
  }
  if (found === 'pdf' || found === 'docx' || found === 'epub' || found === 'text') return found
  throw new AppError('unprocessable', `The file is ${describe(found)}. ${readable}`)
}

const readable = 'PDF, DOCX, EPUB, HTML, Markdown, CSV, plain text and source code can be read.'

type Found = 'pdf' | 'docx' | 'epub' | 'text' | keyof typeof otherFormats

const otherFormats = {
  zip: 'a ZIP archive',
  spreadsheet: 'an Excel workbook (save the sheet as CSV)',
  slides: 'a PowerPoint presentation (save it as PDF)',
  openDocument: 'an OpenDocument file (save it as DOCX or PDF)',
  oldOffice: 'an old or encrypted Office document (save it as DOCX without a password)',
  image: 'an image, which has no text',
  packed: 'a compressed archive',
  media: 'audio or video',
  program: 'a program',
  rtf: 'an RTF document (save it as DOCX)',
} as const

function describe(found: Found): string {
  return found === 'pdf' || found === 'docx' || found === 'epub' || found === 'text' ? found.toUpperCase() : otherFormats[found]
}

/** How files of a kind begin. */
const beginnings: ReadonlyArray<readonly [Found, ReadonlyArray<string>]> = [
  ['oldOffice', ['\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1']],
  ['image', ['\x89PNG\r\n', '\xff\xd8\xff', 'GIF87a', 'GIF89a', 'II*\0', 'MM\0*', 'BM\0', '\0\0\x01\0']],
  ['packed', ['\x1f\x8b', 'BZh', '7z\xbc\xaf', 'Rar!', '\xfd7zXZ', '\x28\xb5\x2f\xfd']],
  ['media', ['ID3', 'OggS', 'fLaC', '\x1aE\xdf\xa3']],
  ['program', ['\x7fELF', 'MZ\x90\0', '\xca\xfe\xba\xbe', '\xcf\xfa\xed\xfe', '\0asm']],
  ['rtf', ['{\\rtf']],
]

function formatOfBytes(bytes: Uint8Array): Found {
  const head = Buffer.from(bytes.subarray(0, 1024)).toString('latin1')
  // Readers of PDF accept some bytes before the header.
  if (head.includes('%PDF-')) return 'pdf'
  if (head.startsWith('PK\x03\x04') || head.startsWith('PK\x05\x06')) return formatOfArchive(bytes)
  if (head.startsWith('RIFF')) return head.slice(8, 12) === 'WEBP' ? 'image' : 'media'
  if (head.slice(4, 8) === 'ftyp') return 'media'
  return beginnings.find(([, starts]) => starts.some((start) => head.startsWith(start)))?.[0] ?? 'text'
}

function formatOfArchive(bytes: Uint8Array): Found {
  const paths = new Set(listArchive(bytes))
  if (paths.has('META-INF/container.xml')) return 'epub'
  if (paths.has('[Content_Types].xml')) {
    if (paths.has('xl/workbook.xml')) return 'spreadsheet'
    if (paths.has('ppt/presentation.xml')) return 'slides'
    if ([...paths].some((path) => path.startsWith('word/'))) return 'docx'
  }
  return paths.has('content.xml') && paths.has('META-INF/manifest.xml') ? 'openDocument' : 'zip'
}

const mediaTypes: ReadonlyMap<string, TextFormat> = new Map([
  ['text/html', 'html'],
  ['application/xhtml+xml', 'html'],
  ['text/markdown', 'markdown'],
  ['text/x-markdown', 'markdown'],
  ['text/csv', 'csv'],
  ['text/tab-separated-values', 'csv'],
])

const endings: ReadonlyMap<string, TextFormat> = new Map([
  ['html', 'html'],
  ['htm', 'html'],
  ['xhtml', 'html'],
  ['md', 'markdown'],
  ['markdown', 'markdown'],
  ['mdx', 'markdown'],
  ['csv', 'csv'],
  ['tsv', 'csv'],
  ['tab', 'csv'],
  ['txt', 'text'],
  ['text', 'text'],
  ['log', 'text'],
  ['rst', 'text'],
])

/** Without its dot, in small letters; empty where there is none. */
function endingOf(name: string): string {
  const [, ending = ''] = /\.([^./\\]+)$/.exec(name) ?? []
  return ending.toLowerCase()
}

/** What kind of text a file holds: by its name, its media type, or how it begins. */
export function detectTextFormat(text: string, { name, mediaType = '' }: FileHints): TextFormat {
  const byName = endings.get(endingOf(name))
  if (byName !== undefined) return byName
  if (programmingLanguageOf(name) !== undefined) return 'code'
  const byType = mediaTypes.get(mediaType.replace(/;.*/s, '').trim().toLowerCase())
  if (byType !== undefined) return byType
  return /^\s*(<\?xml[^>]*>\s*)?(<!--[\s\S]{0,2000}?-->\s*)?<(!doctype\s+html|html)\b/i.test(text.slice(0, 5000))
    ? 'html'
    : 'text'
}

/** Whether a file's name is that of a document that may be read; the bytes decide in the end. */
export function isDocumentName(name: string): boolean {
  const ending = endingOf(name)
  return ['pdf', 'docx', 'epub'].includes(ending) || endings.has(ending) || programmingLanguageOf(name) !== undefined
}

export const mediaTypeOf: Readonly<Record<Format, string>> = {
  pdf: 'application/pdf',
  docx: 'application/vnd.openxmlformats-officedocument.wordprocessingml.document',
  epub: 'application/epub+zip',
  html: 'text/html',
  markdown: 'text/markdown',
  csv: 'text/csv',
  code: 'text/plain',
  text: 'text/plain',
}
