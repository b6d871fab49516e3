import { AppError } from '../../errors.ts'
import { type Block, cleanBlocks, type ReadDocument } from './blocks.ts'
import { decodeText } from './decode-text.ts'
import { detectFormat, detectTextFormat, type FileHints, type Format, mediaTypeOf, type TextFormat } from './detect-format.ts'
import { readCode } from './read-code.ts'
import { readCsv } from './read-csv.ts'
import { readDocx } from './read-docx.ts'
import { readEpub } from './read-epub.ts'
import { readHtml } from './read-html.ts'
import { readMarkdown } from './read-markdown.ts'
import { readPdf } from './read-pdf.ts'
import { readPlainText } from './read-plain-text.ts'
import { type Outlined, outlineBlocks } from './sections.ts'

export type Extracted = Outlined &
  Readonly<{
    mediaType: string
    title?: string
    pages?: number
    /** More than none: the document is told to be incomplete. */
    pagesWithoutText?: number
  }>

/** Text of one document at most, in UTF-16 code units: about ten thousand pages. */
const mostCharacters = 20_000_000
/** Of the letters and signs, the part that may be nonsense (replaced, private, unassigned or control characters). */
const mostNonsense = 0.05

/**
 * The text of a file, parted by its structure. Throws `unprocessable` (with the reason, for people) for what cannot be read: empty,
 * scanned, garbled, encrypted, broken, binary; `too_large`.
 */
export async function extract(bytes: Uint8Array, hints: FileHints): Promise<Extracted> {
  if (bytes.length === 0) throw new AppError('unprocessable', 'The file is empty (0 bytes).')
  const { format, ...document } = await read(bytes, hints)
  const { title, pages, pagesWithoutText = 0 } = document
  refuseTooLong(document.blocks)
  refuseNonsense(document.blocks, format)
  const blocks = cleanBlocks(document.blocks)
  if (blocks.length === 0) throw new AppError('unprocessable', 'The file holds no text.')
  return {
    ...outlineBlocks(blocks),
    mediaType: mediaTypeOf[format],
    ...(title === undefined ? {} : { title: title.replace(/\s+/g, ' ').slice(0, 300) }),
    ...(pages === undefined ? {} : { pages }),
    ...(pagesWithoutText === 0 ? {} : { pagesWithoutText }),
  }
}

async function read(bytes: Uint8Array, hints: FileHints): Promise<ReadDocument & Readonly<{ format: Format }>> {
  const format = detectFormat(bytes, hints)
  switch (format) {
    case 'pdf':
      return { format, ...(await readPdf(bytes)) }
    case 'docx':
      return { format, ...(await readDocx(bytes)) }
    case 'epub':
      return { format, ...readEpub(bytes) }
    case 'text':
      return readText(decodeText(bytes, charsetOf(bytes, hints)), hints)
  }
}

function readText(text: string, hints: FileHints): ReadDocument & Readonly<{ format: Format }> {
  const format = detectTextFormat(text, hints)
  return { format, ...readers[format](text) }
}

const readers: Readonly<Record<TextFormat, (text: string) => ReadDocument>> = {
  html: readHtml,
  markdown: readMarkdown,
  csv: readCsv,
  code: readCode,
  text: readPlainText,
}

/** What the answer's header or the page itself says of its encoding. */
function charsetOf(bytes: Uint8Array, { mediaType = '' }: FileHints): string | undefined {
  const declared = /charset\s*=\s*"?([\w.:-]+)/i
  const head = Buffer.from(bytes.subarray(0, 2048)).toString('latin1')
  const inPage = /<meta[^>]+charset\s*=\s*["']?([\w.:-]+)/i.exec(head) ?? /<\?xml[^>]+encoding\s*=\s*["']([\w.:-]+)/i.exec(head)
  return declared.exec(mediaType)?.[1] ?? inPage?.[1]
}

function refuseTooLong(blocks: readonly Block[]): void {
  const characters = blocks.reduce((sum, { text }) => sum + text.length, 0)
  if (characters > mostCharacters)
    throw new AppError('too_large', `The text of the file has ${characters} characters; ${mostCharacters} can be taken.`)
}

function refuseNonsense(blocks: readonly Block[], format: Format): void {
  let seen = 0
  let nonsense = 0
  let letters = 0
  let vowels = 0
  for (const { text } of blocks) {
    seen += count(text, /\S/gu)
    nonsense += count(text, /[\p{Co}\p{Cn}\ufffd]|[^\P{Cc}\s\u0085]/gu)
    letters += count(text, /[a-z]/gi)
    vowels += count(text, /[aeiouy]/gi)
  }
  if (nonsense > seen * mostNonsense)
    throw new AppError(
      'unprocessable',
      `${Math.round((100 * nonsense) / seen)} % of the text are no readable characters. ${garbled}`,
    )
  // Fonts that do not say which letters they draw give other letters, shifted ones for instance: no language is so poor in vowels.
  if (format === 'pdf' && letters >= 400 && letters > seen * 0.5 && vowels < letters * 0.2)
    throw new AppError('unprocessable', `The text of the PDF is made of letters without meaning. ${garbled}`)
}

const garbled = 'It is garbled: save the file again, or run it through text recognition (OCR).'

function count(text: string, pattern: RegExp): number {
  let found = 0
  for (const _match of text.matchAll(pattern)) found += 1
  return found
}
