import { Readability } from '@mozilla/readability'
import type { Block, ReadDocument } from './blocks.ts'
import { type HtmlNode, parsePage, readHtmlBlocks } from './html-blocks.ts'

/** More elements than this, and the search for the content would take too long. */
const mostElements = 100_000
/** What is found as the content must be at least this part of the page, or it is not trusted. */
const leastShare = 0.4

/** The content of a page without menus and the like; all of the page where no such content stands out. */
export function readHtml(html: string): ReadDocument {
  const page = parsePage(html)
  const whole = readHtmlBlocks(page.body, { skipsFrame: true })
  const all = whole.length > 0 ? whole : readHtmlBlocks(page.body)
  const heading = all.find(({ type }) => type === 'heading')?.text
  const title = page.title.replace(/\s+/g, ' ').trim() || heading
  const content = findContent(html)
  const blocks = sizeOf(content) >= sizeOf(all) * leastShare ? withTitle(content, all) : all
  return { blocks, ...(title === undefined ? {} : { title }) }
}

function findContent(html: string): Block[] {
  try {
    const readability = new Readability<HtmlNode | undefined>(parsePage(html), {
      maxElemsToParse: mostElements,
      // The DOM itself: there is no need to write it out and parse it again.
      serializer: (node: HtmlNode) => node,
    })
    const content = readability.parse()?.content
    return content === undefined || content === null ? [] : readHtmlBlocks(content)
  } catch {
    // It was made for articles; a page on which it fails is read whole.
    return []
  }
}

const sizeOf = (blocks: readonly Block[]) => blocks.reduce((sum, { text }) => sum + text.length, 0)

/** Readability takes the title away, and makes the other headings of the first level ones of the second. */
function withTitle(content: readonly Block[], all: readonly Block[]): readonly Block[] {
  const title = all.find(({ type, level }) => type === 'heading' && level === 1)
  if (title === undefined || content.some(({ type, text }) => type === 'heading' && text === title.text)) return content
  return [title, ...content]
}
