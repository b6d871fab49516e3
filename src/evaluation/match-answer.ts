/** Without case, marks at the end, and more than one space in a row; composed, so that both ways to write `é` are one. */
export function normalizeAnswer(text: string): string {
  return text
    .normalize('NFC')
    .toLowerCase()
    .replace(/\s+/g, ' ')
    .trim()
    .replace(/(?<![\s.!?…。])[\s.!?…。]+$/u, '')
    .replace(/^[¡¿\s]+/u, '')
}

export type Match = Readonly<{
  /** The same as a reference, normalized. */
  exact: boolean
  /** It holds a reference, as whole words. */
  contains: boolean
  /** How much of the nearest reference's words it has and has not beside others, 0 to 1. */
  similarity: number
}>

/** How near an answer is to the nearest of the right ones. */
export function matchAnswer(answer: string, references: readonly string[]): Match {
  const given = normalizeAnswer(answer)
  const right = references.map(normalizeAnswer)
  return {
    exact: right.includes(given),
    contains: right.some((reference) => holds(given, reference)),
    similarity: Math.max(0, ...right.map((reference) => wordSimilarity(given, reference))),
  }
}

function holds(answer: string, reference: string): boolean {
  if (reference === '') return answer === ''
  for (let from = answer.indexOf(reference); from !== -1; from = answer.indexOf(reference, from + 1)) {
    const isCut = isInWord(answer, from) || isInWord(answer, from + reference.length)
    if (!isCut) return true
  }
  return false
}

/** Whether a place lies between two letters or digits. */
function isInWord(text: string, at: number): boolean {
  return /[\p{L}\p{N}]$/u.test(text.slice(0, at)) && /^[\p{L}\p{N}]/u.test(text.slice(at))
}

/**
 * The harmonic mean of the shares of words that both have: 1 for the same words, in whatever order.
 * Source: F1 of Rajpurkar et al., "SQuAD: 100,000+ Questions for Machine Comprehension of Text" (2016).
 */
export function wordSimilarity(one: string, other: string): number {
  const [words, others] = [wordsOf(one), wordsOf(other)]
  if (words.length === 0 || others.length === 0) return words.length === others.length ? 1 : 0
  const left = new Map<string, number>()
  for (const word of others) left.set(word, (left.get(word) ?? 0) + 1)
  let common = 0
  for (const word of words) {
    const count = left.get(word) ?? 0
    if (count > 0) common += 1
    left.set(word, count - 1)
  }
  return (2 * common) / (words.length + others.length)
}

const wordsOf = (text: string): readonly string[] => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []

/** Which of two is nearer; an exact one is nearer than any other, and one that holds the reference than one that does not. */
export function compareMatches(one: Match, other: Match): number {
  return (
    Number(one.exact) - Number(other.exact) ||
    Number(one.contains) - Number(other.contains) ||
    Math.sign(one.similarity - other.similarity)
  )
}
