import { posix } from 'node:path'
import { AppError } from '../../errors.ts'
import type { Block, ReadDocument } from './blocks.ts'
import { decodeText } from './decode-text.ts'
import { type HtmlDocument, parsePage, readHtmlBlocks } from './html-blocks.ts'
import { type Archive, unzip } from './unzip.ts'

/** The chapters in the order in which the book is read (its spine). */
export function readEpub(bytes: Uint8Array): ReadDocument {
  const files = unzip(bytes, (path) => /\.(?:x?html?|xml|opf)$/i.test(path))
  if (isEncrypted(files)) throw new AppError('unprocessable', 'The book is protected against copying, so it cannot be read.')
  const { folder, description } = openPackage(files)
  const title = textOf(description, 'dc\\:title') ?? textOf(description, 'title')
  const items = new Map(
    [...description.querySelectorAll('item')].map((item) => [item.getAttribute?.('id'), item.getAttribute?.('href')]),
  )
  const blocks: Block[] = []
  for (const reference of description.querySelectorAll('itemref')) {
    const href = items.get(reference.getAttribute?.('idref'))
    if (href == null) continue
    const chapter = files.get(posix.join(folder, decodeHref(href)))
    if (chapter !== undefined) blocks.push(...readHtmlBlocks(parseXhtml(decodeText(chapter)).body))
  }
  return { blocks, ...(title === undefined ? {} : { title }) }
}

function openPackage(files: Archive): { folder: string; description: HtmlDocument } {
  const container = files.get('META-INF/container.xml')
  const path = container && parseXhtml(decodeText(container)).querySelector('rootfile')?.getAttribute?.('full-path')
  const description = path == null ? undefined : files.get(path)
  if (path == null || description === undefined)
    throw new AppError('unprocessable', 'The EPUB file is damaged: it does not say which chapters it has.')
  return { folder: posix.dirname(path), description: parseXhtml(decodeText(description)) }
}

/** Fonts are often obfuscated, which keeps nobody from reading. */
function isEncrypted(files: Archive): boolean {
  const encryption = files.get('META-INF/encryption.xml')
  return encryption !== undefined && /URI="[^"]*\.x?html?"/i.test(decodeText(encryption))
}

function textOf(document: HtmlDocument, selector: string): string | undefined {
  return document.querySelector(selector)?.textContent?.replace(/\s+/g, ' ').trim() || undefined
}

function decodeHref(href: string): string {
  const path = href.replace(/#.*/s, '')
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}

/** XHTML may close any element at once (`<title/>`), which in HTML would leave it open. */
function parseXhtml(text: string): HtmlDocument {
  const closed = text
    .replace(/<\?[^>]*\?>/g, '')
    .replace(
      /<((?!(?:area|base|br|col|embed|hr|img|input|link|meta|source|track|wbr)\b)[a-z][\w:-]*)((?:\s[^<>]*)?)\/>/gi,
      '<$1$2></$1>',
    )
  return parsePage(closed)
}
