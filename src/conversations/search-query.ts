/** A search of more words than this is cut: each costs a look into the index. */
const mostWords = 16

/**
 * A query for FTS5 that finds whatever holds all words of a text, each also as the beginning of a longer one; undefined where it has no
 * words. Each is quoted, so that nothing of the text is read as an operator.
 */
export function toSearchQuery(text: string): string | undefined {
  const words = text.toWellFormed().match(/[\p{L}\p{N}\p{M}\p{Co}]+/gu)
  return words
    ?.slice(0, mostWords)
    .map((word) => `"${word}"*`)
    .join(' ')
}
