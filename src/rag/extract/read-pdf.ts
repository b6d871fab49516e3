import { getDocumentProxy } from 'unpdf'
import { AppError } from '../../errors.ts'
import type { ReadDocument } from './blocks.ts'
import { type Outline, outlineKey, readPdfBlocks } from './pdf-blocks.ts'
import { dropRunningLines, joinRuns, type PdfPage, type PdfRun } from './pdf-lines.ts'

type Pdf = Awaited<ReturnType<typeof getDocumentProxy>>
type PdfPageProxy = Awaited<ReturnType<Pdf['getPage']>>

const mostPages = 20_000
/** Of a document with many pages at least this part must have text, or it is a scan with a page or two of text added. */
const leastTextShare = 0.1

/** Throws `unprocessable` for what is encrypted, broken, or has no text but only images of it. */
export async function readPdf(bytes: Uint8Array): Promise<ReadDocument> {
  const pdf = await openPdf(bytes)
  try {
    if (pdf.numPages > mostPages) throw new AppError('too_large', `The PDF has ${pdf.numPages} pages; ${mostPages} can be read.`)
    const pages: PdfPage[] = []
    for (let number = 1; number <= pdf.numPages; number += 1) pages.push(await readPage(pdf, number))
    const pagesWithoutText = pages.filter(({ lines }) => lines.length === 0).length
    refuseScans(pages.length, pagesWithoutText)
    const blocks = readPdfBlocks(dropRunningLines(pages), await readOutline(pdf))
    const title =
      (await readTitle(pdf)) ?? blocks.find(({ type, level, page }) => type === 'heading' && level === 1 && page === 1)?.text
    return {
      blocks,
      pages: pages.length,
      pagesWithoutText,
      ...(title === undefined ? {} : { title }),
    }
  } finally {
    await pdf.loadingTask.destroy()
  }
}

async function openPdf(bytes: Uint8Array): Promise<Pdf> {
  try {
    // A copy, as pdf.js takes away what it is given.
    return await getDocumentProxy(new Uint8Array(bytes), { verbosity: 0, useSystemFonts: false })
  } catch (cause) {
    if (cause instanceof Error && cause.name === 'PasswordException')
      throw new AppError('unprocessable', 'The PDF is encrypted and needs a password. Save it without one.', { cause })
    throw new AppError('unprocessable', 'The PDF is damaged or cut off: it cannot be opened.', { cause })
  }
}

function refuseScans(pages: number, pagesWithoutText: number): void {
  const withText = pages - pagesWithoutText
  if (withText > 0 && (pages < 10 || withText / pages > leastTextShare)) return
  const found = withText === 0 ? 'no text' : `text on ${withText} of its ${pages} pages only`
  throw new AppError(
    'unprocessable',
    `The PDF has ${found}: it seems to be scanned images. Run it through text recognition (OCR) first.`,
  )
}

async function readPage(pdf: Pdf, number: number): Promise<PdfPage> {
  const page = await openPage(pdf, number)
  if (page === undefined) return { number, height: 0, lines: [] }
  const [, bottom = 0, , top = 0] = page.view
  const { items } = await page.getTextContent()
  const runs = items
    .filter((item) => 'str' in item)
    .map(({ str, transform, width, hasEOL }): PdfRun => {
      const [, , shear = 0, scale = 0, x = 0, y = 0] = transform.map(Number)
      return { text: str, x, y: y - bottom, width, size: Math.hypot(shear, scale), endsLine: hasEOL }
    })
  page.cleanup()
  return { number, height: top - bottom, lines: joinRuns(runs, number) }
}

/** A page that is broken is one without text; the others can still be read. */
async function openPage(pdf: Pdf, number: number): Promise<PdfPageProxy | undefined> {
  return pdf.getPage(number).catch(() => undefined)
}

/** What programs write as a title when nobody gave one. */
const noTitle = /^(?:untitled|.*\.(?:docx?|dvi|tex|indd|qxd|pdf|xlsx?|pptx?|html?)|microsoft \w+ - .*|slide \d+)$/i

async function readTitle(pdf: Pdf): Promise<string | undefined> {
  const { info } = await pdf.getMetadata().catch(() => ({ info: {} }))
  const title = 'Title' in info && typeof info.Title === 'string' ? info.Title.trim() : ''
  return title === '' || noTitle.test(title) ? undefined : title
}

type OutlineItem = Readonly<{ title: string; items: readonly OutlineItem[] }>

async function readOutline(pdf: Pdf): Promise<Outline> {
  const found = new Map<string, number>()
  const add = (items: readonly OutlineItem[], depth: number) => {
    for (const { title, items: inner } of items) {
      const key = outlineKey(title)
      // Short ones are found in the middle of paragraphs as well.
      if (key.length >= 4 && !found.has(key)) found.set(key, depth)
      if (depth < 6) add(inner, depth + 1)
    }
  }
  add((await pdf.getOutline().catch(() => null)) ?? [], 1)
  return found
}
