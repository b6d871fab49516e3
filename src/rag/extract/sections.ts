import type { Block } from './blocks.ts'

/** The smallest part of a text that is not cut without need: a sentence, a list item, a row, some lines of code. */
export type Unit = Readonly<{
  /** In the document's text, in UTF-16 code units; no spaces at either end. */
  start: number
  end: number
  page?: number
  /** Whether it begins a block (a paragraph, a row, …): there a chunk ends best. */
  beginsBlock: boolean
}>

/** Units under the same headings. */
export type Section = Readonly<{
  /** The headings above, outermost first, with " > " between; empty where there are none. */
  path: string
  units: readonly Unit[]
}>

/** The text that offsets count in, and how it is parted. */
export type Outlined = Readonly<{ text: string; sections: readonly Section[] }>

const sentences = new Intl.Segmenter('en', { granularity: 'sentence' })
const longestHeading = 80
const longestPath = 200
/** Blocks longer than this are cut into sentences in pieces, as the segmenter slows down with the length of a text. */
const pieceLength = 20_000

/** Joins blocks to one text, and parts it by headings into sections and by sentences, items, rows and lines into units. */
export function outlineBlocks(blocks: readonly Block[]): Outlined {
  let text = ''
  let before: Block | undefined
  const sections: Array<{ path: string; units: Unit[]; hasText: boolean }> = []
  const headings: Array<{ level: number; text: string }> = []
  let label: string | undefined
  for (const block of blocks) {
    if (before !== undefined) text += isTight(before, block) ? '\n' : '\n\n'
    const units = toUnits(block, text.length)
    text += block.text
    before = block
    if (block.type === 'heading') {
      const { level = 1 } = block
      const outer = headings.findIndex((heading) => heading.level >= level)
      if (outer !== -1) headings.length = outer
      headings.push({ level, text: block.text.replace(/\s+/g, ' ') })
    }
    const open = sections.at(-1)
    const isHeading = block.type === 'heading'
    const begins = isHeading || label !== block.label
    label = block.label
    const path = pathOf([...headings.map((heading) => heading.text), ...(block.label === undefined ? [] : [block.label])])
    // Headings without a text of their own go with the text that follows them.
    if (open === undefined || (begins && open.hasText)) sections.push({ path, units, hasText: !isHeading })
    else {
      open.units.push(...units)
      open.path = path
      open.hasText ||= !isHeading
    }
  }
  return { text, sections: sections.map(({ path, units }) => ({ path, units })) }
}

/** Items and rows that belong together stand on lines of their own. */
function isTight(before: Block, block: Block): boolean {
  return before.type === block.type && (block.type === 'list-item' || block.type === 'table-row')
}

function pathOf(headings: readonly string[]): string {
  const parts = headings.map((heading) =>
    heading.length > longestHeading ? `${heading.slice(0, longestHeading - 1)}…` : heading,
  )
  // The innermost ones say the most.
  while (parts.length > 1 && parts.join(' > ').length > longestPath) parts.shift()
  return parts.join(' > ')
}

function toUnits(block: Block, offset: number): Unit[] {
  const pieces = block.type === 'code' ? linesOf(block.text) : block.type === 'heading' ? [block.text] : sentencesOf(block.text)
  const units: Unit[] = []
  let at = offset
  for (const piece of pieces) {
    const start = at + (piece.length - piece.trimStart().length)
    // Leading spaces of the first line of code are part of its shape, but a chunk begins with a letter anyway.
    const end = at + piece.trimEnd().length
    at += piece.length
    if (start >= end) continue
    units.push({ start, end, beginsBlock: units.length === 0, ...(block.page === undefined ? {} : { page: block.page }) })
  }
  return units
}

function* sentencesOf(text: string): Generator<string> {
  for (let from = 0; from < text.length; ) {
    let to = Math.min(text.length, from + pieceLength)
    if (to < text.length) {
      const space = text.lastIndexOf(' ', to)
      to = space > from ? space + 1 : to + (isHighSurrogate(text, to - 1) ? 1 : 0)
    }
    for (const { segment } of sentences.segment(text.slice(from, to))) yield segment
    from = to
  }
}

const isHighSurrogate = (text: string, index: number) => (text.charCodeAt(index) & 0xfc00) === 0xd800

function* linesOf(text: string): Generator<string> {
  for (const [line] of text.matchAll(/[^\n]*\n|[^\n]+$/g)) yield line
}
