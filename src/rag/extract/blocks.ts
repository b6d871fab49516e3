export type BlockType = 'heading' | 'paragraph' | 'list-item' | 'table-row' | 'code'

/** A piece of a document that stands for itself, in reading order. */
export type Block = Readonly<{
  type: BlockType
  text: string
  /** Of a heading: 1 is the outermost. */
  level?: number
  /** From 1, in formats that have pages. */
  page?: number
  /** What the block itself is called, such as the function that it defines; ends the path of headings above it. */
  label?: string
}>

/** What a reader of one format finds in a file. */
export type ReadDocument = Readonly<{
  title?: string
  pages?: number
  /** Pages that are there but hold no text, such as scans. */
  pagesWithoutText?: number
  blocks: readonly Block[]
}>

/**
 * Unix line ends, composed letters, ordinary spaces; without what is there for the eye alone: soft hyphens, marks of byte order,
 * control characters, spaces at line ends. Leading spaces stay, as code needs them.
 */
export function cleanText(text: string): string {
  return (
    text
      .toWellFormed()
      .normalize('NFC')
      .replace(/\r\n?|[\u0085\u2028\u2029]/g, '\n')
      .replace(/[\u00a0\u2000-\u200a\u202f\u205f\u3000]/g, ' ')
      .replace(/[\u00ad\u200b\u2060\ufeff]/g, '')
      .replace(/[^\P{Cc}\n\t]/gu, '')
      // Only from where a run begins: tried from each of its places, a long one would take minutes.
      .replace(/(?<![ \t])[ \t]+$/gm, '')
      .replace(/^\n+|(?<!\n)\n+$/g, '')
  )
}

/** Blocks with clean text; those without any are left out. */
export function cleanBlocks(blocks: readonly Block[]): Block[] {
  return blocks.flatMap((block) => {
    const cleaned = cleanText(block.text)
    const text = block.type === 'code' ? cleaned : cleaned.trim()
    return text.trim() === '' ? [] : [{ ...block, text }]
  })
}
