/** A search of more words than this is cut: each costs a look into the index. */
const mostWords = 16
/** Characters before and after what was found. */
const before = 60
const after = 140

const wordShape = /[\p{L}\p{N}\p{M}\p{Co}]+/gu

/** The words of a text that are looked for. */
export const searchWords = (text: string): readonly string[] => (text.toWellFormed().match(wordShape) ?? []).slice(0, mostWords)

/**
 * A query for FTS5 that finds whatever holds all of the words, each also as the beginning of a longer one. Each is quoted, so that nothing
 * of a text is read as an operator.
 */
export const toSearchQuery = (words: readonly string[]): string => words.map((word) => `"${word}"*`).join(' ')

/** What stands around the first of the words in a text, on one line. */
export function excerptAround(text: string, words: readonly string[]): string {
  const looked = words.map(fold)
  let from = 0
  for (const { 0: word, index } of text.matchAll(wordShape)) {
    const folded = fold(word)
    if (!looked.some((beginning) => folded.startsWith(beginning))) continue
    from = index
    break
  }
  const start = Math.max(0, from - before)
  const end = from + after
  const line = text.slice(start, end).replaceAll(/\s+/g, ' ').trim().toWellFormed()
  return `${start > 0 ? '…' : ''}${line}${end < text.length ? '…' : ''}`
}

/** As the index does: accents and capitals make no difference. */
const fold = (word: string) => word.toLowerCase().normalize('NFKD').replaceAll(/\p{M}/gu, '')
