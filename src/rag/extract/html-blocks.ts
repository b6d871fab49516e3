import { parseHTML } from 'linkedom'
import type { Block } from './blocks.ts'
import { describeRow, isHeader } from './read-csv.ts'

/** The part of a DOM node that is read; linkedom's own types need those of browsers. */
export interface HtmlNode {
  readonly nodeType: number
  readonly localName?: string | null
  readonly textContent: string
  readonly childNodes: Iterable<HtmlNode>
  getAttribute?(name: string): string | null
}

export interface HtmlDocument {
  readonly title: string
  readonly body: HtmlNode
  querySelector(selector: string): HtmlNode | null
  querySelectorAll(selector: string): Iterable<HtmlNode>
}

/** Parses a whole page. */
export function parsePage(html: string): HtmlDocument {
  // linkedom adds nothing that the page leaves out.
  const isWhole = /<html[\s>]/i.test(html) && /<body[\s>]/i.test(html)
  return isWhole ? parseHTML(html).document : parsePart(html.replace(/<!doctype[^>]*>|<\/?(?:html|head|body)(?:\s[^>]*)?>/gi, ''))
}

/** Parses what could stand in the body of a page. */
export function parsePart(html: string): HtmlDocument {
  return parseHTML(`<!doctype html><html><head></head><body>${html}</body></html>`).document
}

const unseen =
  'script style template noscript head title iframe object canvas svg math button select input textarea dialog'.split(' ')
/** What stands around the content of a page. */
const frame = 'nav footer aside form menu'.split(' ')
const blockElements = new Set(
  `address article aside blockquote body center dd details div dl dt fieldset figcaption figure footer form header hgroup hr html
   legend main menu nav ol p section summary ul tbody thead tfoot tr td th caption`.split(/\s+/),
)

export type HtmlBlocksOptions = Readonly<{ skipsFrame?: boolean }>

/** The blocks of a part of a page, in reading order. */
export function readHtmlBlocks(root: HtmlNode, { skipsFrame = false }: HtmlBlocksOptions = {}): Block[] {
  const skipped = new Set(skipsFrame ? [...unseen, ...frame] : unseen)
  const blocks: Block[] = []
  let line = ''
  const flush = (type: 'paragraph' | 'list-item') => {
    const text = tidy(line)
    line = ''
    if (text !== '') blocks.push({ type, text })
  }

  function walk(node: HtmlNode, type: 'paragraph' | 'list-item'): void {
    for (const child of node.childNodes) {
      if (child.nodeType === 3) line += child.textContent.replace(/\s+/g, ' ')
      const name = child.nodeType === 1 ? nameOf(child) : undefined
      if (name === undefined || skipped.has(name) || isHidden(child)) continue
      if (name === 'br') line += '\n'
      else if (name === 'li' || blockElements.has(name)) {
        flush(type)
        const inner = name === 'li' ? 'list-item' : type
        walk(child, inner)
        flush(inner)
      } else if (!addWhole(child, name, type)) walk(child, type)
    }
  }

  /** Elements that are read as one: headings, code and tables. */
  function addWhole(node: HtmlNode, name: string, type: 'paragraph' | 'list-item'): boolean {
    const isHeading = /^h[1-6]$/.test(name)
    if (!isHeading && name !== 'pre' && (name !== 'table' || isLayout(node))) return false
    flush(type)
    if (isHeading)
      blocks.push({ type: 'heading', text: tidy(inlineText(node)).replace(/(?<!\s)\s*[¶#]$/, ''), level: Number(name[1]) })
    else if (name === 'pre') blocks.push({ type: 'code', text: codeText(node) })
    else blocks.push(...readTable(node))
    return true
  }

  walk(root, 'paragraph')
  flush('paragraph')
  return blocks
}

const nameOf = ({ localName }: HtmlNode): string | undefined => localName?.toLowerCase()

function isHidden(node: HtmlNode): boolean {
  return node.getAttribute?.('hidden') != null || node.getAttribute?.('aria-hidden') === 'true'
}

/** Spaces become one, line breaks that were asked for stay. */
function tidy(text: string): string {
  return text
    .replace(/(?<![^\S\n])[^\S\n]+\n/g, '\n')
    .replace(/\n[^\S\n]+/g, '\n')
    .replace(/[^\S\n]+/g, ' ')
    .trim()
}

function inlineText(node: HtmlNode): string {
  let text = ''
  for (const child of node.childNodes) {
    const name = nameOf(child)
    if (child.nodeType === 3) text += child.textContent
    else if (name !== undefined && !unseen.includes(name))
      text += name === 'br' || blockElements.has(name) || name === 'li' ? ` ${inlineText(child)} ` : inlineText(child)
  }
  return text.replace(/\s+/g, ' ')
}

function codeText(node: HtmlNode): string {
  let text = ''
  for (const child of node.childNodes) {
    if (child.nodeType === 3) text += child.textContent
    else if (child.nodeType === 1) text += child.localName === 'br' ? '\n' : codeText(child)
  }
  return text
}

/** A table that only places things on the page. */
function isLayout(table: HtmlNode): boolean {
  return [...descendants(table)].some(({ localName }) => /^(?:table|h[1-6]|pre)$/.test(`${localName}`))
}

function* descendants(node: HtmlNode): Generator<HtmlNode> {
  for (const child of node.childNodes)
    if (child.nodeType === 1) {
      yield child
      yield* descendants(child)
    }
}

function readTable(table: HtmlNode): Block[] {
  const blocks: Block[] = []
  const rows: Array<{ cells: string[]; isHeader: boolean }> = []
  for (const node of descendants(table)) {
    if (node.localName === 'caption') blocks.push({ type: 'paragraph', text: tidy(inlineText(node)) })
    if (node.localName === 'tr') rows.push(readRow(node))
  }
  const [first, ...rest] = rows
  if (first === undefined) return blocks
  const seemsHeader = first.isHeader || (first.cells.length > 1 && rest.length > 0 && isHeader(first.cells))
  const body = seemsHeader && rest.length > 0 ? rest : rows
  const names = seemsHeader && rest.length > 0 ? first.cells : undefined
  return [...blocks, ...body.map(({ cells }): Block => ({ type: 'table-row', text: describeRow(cells, names) }))]
}

function readRow(row: HtmlNode): { cells: string[]; isHeader: boolean } {
  const found = [...row.childNodes].filter(({ localName }) => localName === 'td' || localName === 'th')
  const cells = found.flatMap((cell) => {
    const span = Math.max(1, Math.min(100, Math.trunc(Number(cell.getAttribute?.('colspan'))) || 1))
    return [tidy(inlineText(cell)), ...Array.from({ length: span - 1 }, () => '')]
  })
  return { cells, isHeader: found.length > 0 && found.every(({ localName }) => localName === 'th') }
}
