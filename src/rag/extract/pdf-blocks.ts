import type { Block } from './blocks.ts'
import { headingFactor, type PdfLine, type PdfPage, usualSize } from './pdf-lines.ts'

const longestHeading = 160
const bullet = /^(?:[•◦▪●○■–—·*-]|\(?(?:\d{1,3}|[a-z])[.)])\s+\S/

/** Titles of the document's outline (its bookmarks) by their text, with their depth from 1. */
export type Outline = ReadonlyMap<string, number>

/** Paragraphs, list items and headings from lines: by their sizes, distances and indents. */
export function readPdfBlocks(pages: readonly PdfPage[], outline: Outline): Block[] {
  const lines = pages.flatMap((page) => page.lines)
  const bodySize = usualSize(lines)
  const levelOf = rankSizes(lines, bodySize)
  const gap = usualGap(lines)
  const blocks: Block[] = []
  let open: PdfLine[] = []
  let openLevel: number | undefined
  const end = () => {
    const [first] = open
    if (first !== undefined) blocks.push({ ...toBlock(open, openLevel), page: first.page })
    open = []
  }
  for (const line of lines) {
    const known = outline.get(outlineKey(line.text)) ?? (isShort(line) ? levelOf.get(Math.round(line.size)) : undefined)
    const level = leader.test(line.text) ? undefined : known
    const before = open.at(-1)
    if (before !== undefined && (level !== openLevel || isApart(before, line, { gap, isHeading: level !== undefined }))) end()
    open.push(line)
    openLevel = level
  }
  end()
  return blocks
}

/** Numbers and spaces differ between an outline and the page. */
export function outlineKey(title: string): string {
  return title.toLowerCase().replace(/^[\d.\s]+|\s+/g, '')
}

/** A line of a table of contents: dots lead from the title to the page. */
const leader = /(?:\s?[.·…]){4,}\s*/

const isShort = ({ text }: PdfLine) => text.length <= longestHeading && /\p{L}/u.test(text)

/** The level of each larger size; there are four at most. */
function rankSizes(lines: readonly PdfLine[], bodySize: number): ReadonlyMap<number, number> {
  const larger = new Set(lines.map(({ size }) => Math.round(size)).filter((size) => size >= bodySize * headingFactor))
  return new Map([...larger].sort((one, other) => other - one).map((size, rank) => [size, Math.min(4, rank + 1)]))
}

/** From one baseline to the next inside paragraphs, in sizes of the letters. */
function usualGap(lines: readonly PdfLine[]): number {
  const gaps = lines
    .slice(1)
    .flatMap((line, index) => {
      const before = lines[index]
      if (before === undefined || before.page !== line.page || Math.abs(before.size - line.size) > 0.5) return []
      const distance = (before.y - line.y) / line.size
      return distance > 0.8 && distance < 3 ? [distance] : []
    })
    .sort((one, other) => one - other)
  // Of two kinds of gaps the smaller one is inside paragraphs.
  return gaps[Math.floor(gaps.length * 0.3)] ?? 1.2
}

type Spacing = Readonly<{ gap: number; isHeading: boolean }>

function isApart(before: PdfLine, line: PdfLine, { gap, isHeading }: Spacing): boolean {
  if (Math.abs(before.size - line.size) > Math.max(1, before.size * 0.15)) return true
  const distance = (before.y - line.y) / line.size
  // On to the next page or column: a sentence may go on there, but its page would then be in doubt.
  if (before.page !== line.page) return true
  if (isHeading) return distance > 2 || distance < 0
  if (bullet.test(line.text) || leader.test(line.text)) return true
  if (distance < 0 || distance > gap * 1.35) return distance >= 0 || /[.!?:;”"]$/.test(before.text)
  return line.x > before.x + line.size && /[.!?:]["”)]?$/.test(before.text)
}

function toBlock(lines: readonly PdfLine[], level: number | undefined): Block {
  const text = lines.reduce((joined, { text: line }) => joinLines(joined, line), '')
  if (level !== undefined) return { type: 'heading', text, level }
  const isItem = bullet.test(text) || leader.test(text)
  return { type: isItem ? 'list-item' : 'paragraph', text: text.replace(leader, ' … ') }
}

/** A word that was parted at the end of a line is put together again. */
function joinLines(above: string, below: string): string {
  if (above === '') return below
  if (/\p{Ll}[-\u2010\u00ad]$/u.test(above) && /^\p{Ll}/u.test(below)) return above.slice(0, -1) + below
  return `${above} ${below}`
}
