import type { Block, ReadDocument } from './blocks.ts'

/** Lines this long on average were broken to fit a width, not because something ends there. */
const wrappedLength = 45

/** Paragraphs between empty lines, headings where they look like it, pages where form feeds part them. */
export function readPlainText(text: string): ReadDocument {
  const pages = text.split('\f')
  // One at the end of the file ends the last page.
  if (pages.at(-1)?.trim() === '') pages.pop()
  const hasPages = pages.length > 1
  const blocks = pages.flatMap((page, index) => {
    const found = readParagraphs(page)
    return hasPages ? found.map((block) => ({ ...block, page: index + 1 })) : found
  })
  return { blocks, ...(hasPages ? { pages: pages.length } : {}) }
}

function readParagraphs(text: string): Block[] {
  // Empty lines at the end would be looked through from each of them.
  const paragraphs = text.trimEnd().split(/(?:\r\n?|\n)[^\S\n\r]*(?:\r\n?|\n)\s*?(?=\S|[ \t])/)
  return paragraphs.flatMap((paragraph) => {
    const lines = paragraph.split(/\r\n?|\n/).filter((line) => line.trim() !== '')
    return lines.length === 0 ? [] : toBlocks(lines)
  })
}

function toBlocks(lines: readonly string[]): Block[] {
  const [first = '', second = '', ...rest] = lines
  // As in Markdown and reStructuredText: a line of signs below, about as long as the title.
  if (/^([=\-~*^"'#+])\1{2,}\s*$/.test(second) && Math.abs(first.trim().length - second.trim().length) <= 3) {
    const heading: Block = { type: 'heading', text: first.trim(), level: second.startsWith('=') ? 1 : 2 }
    return rest.length === 0 ? [heading] : [heading, ...toBlocks(rest)]
  }
  const level = lines.length === 1 ? headingLevel(first.trim()) : undefined
  if (level !== undefined) return [{ type: 'heading', text: first.trim(), level }]
  if (lines.length > 1 && lines.every((line) => /^\s*([-*•]|\d+[.)])\s+\S/.test(line)))
    return lines.map((line) => ({ type: 'list-item', text: line.trim() }))
  return [{ type: 'paragraph', text: joinLines(lines) }]
}

/** What stands alone on a line and is numbered, named as a part, or in capitals. */
function headingLevel(line: string): number | undefined {
  if (line.length > 80 || /[.,;:!?]$/.test(line.replace(/^[\d.]+/, ''))) return undefined
  if (/^(chapter|part|book|section|appendix|cap[ií]tulo|parte|libro|secci[oó]n|anexo|ap[eé]ndice)\b/i.test(line))
    return /^(part|book|parte|libro)\b/i.test(line) ? 1 : 2
  const numbers = /^(\d+(?:\.\d+)*)\.?\s+\p{Lu}/u.exec(line)?.[1]
  if (numbers !== undefined) return numbers.split('.').length
  return /\p{Lu}{3,}/u.test(line) && !/\p{Ll}/u.test(line) ? 1 : undefined
}

function joinLines(lines: readonly string[]): string {
  const average = lines.slice(0, -1).reduce((sum, line) => sum + line.trim().length, 0) / Math.max(1, lines.length - 1)
  // Columns and drawings would lose their meaning.
  const hasColumns = lines.some((line) => /\S {3,}\S|\t\S/.test(line))
  return average >= wrappedLength && !hasColumns ? lines.map((line) => line.trim()).join(' ') : lines.join('\n')
}
