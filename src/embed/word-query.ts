/** A query of more words than this is cut: each costs a look into the index. */
const mostWords = 64

/**
 * A query for FTS5 that finds whatever holds one of the words of a text; undefined where it has none. Each word is quoted, so that
 * nothing of the text is read as an operator, and what FTS5 does not take for a part of a word is left out.
 */
export function toWordQuery(text: string): string | undefined {
  const words = new Set(text.toWellFormed().match(/[\p{L}\p{N}\p{M}\p{Co}]+/gu))
  if (words.size === 0) return undefined
  return [...words]
    .slice(0, mostWords)
    .map((word) => `"${word}"`)
    .join(' OR ')
}
