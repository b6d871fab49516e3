/*
 * Okapi BM25 (Robertson and Zaragoza, The Probabilistic Relevance Framework: BM25 and Beyond, 2009) as SQLite's FTS5 computes it
 * (https://www.sqlite.org/fts5.html#the_bm25_function), for where there is no FTS5.
 */

/** How much a word counts among the headings above a passage, beside one in its text. */
export const sectionWeight = 2
export const saturation = 1.2
export const lengthInfluence = 0.75
/** What a word counts that is in half of the passages or more. */
const leastIdf = 1e-6

/** What a term that is in so many of the passages tells. */
export function inverseFrequency(passages: number, holding: number): number {
  return Math.max(leastIdf, Math.log((passages - holding + 0.5) / (holding + 0.5)))
}

/** `frequency` is how often the term is there, with its weight; `relativeLength` how long the passage is, of the usual length. */
export function termScore(idf: number, frequency: number, relativeLength: number): number {
  const norm = saturation * (1 - lengthInfluence + lengthInfluence * relativeLength)
  return (idf * (frequency * (saturation + 1))) / (frequency + norm)
}

/** Where a word is in a passage: its places, from 1, and whether each is among the headings. */
export type WordPlaces = Readonly<{ places: readonly number[]; isHeading: readonly boolean[] }>

/** How often words stand side by side, with the weight of where they do. Each is given by where it, or what it begins, is. */
export function sequenceFrequency(sequence: ReadonlyArray<readonly WordPlaces[]>): number {
  const [first = [], ...others] = sequence.map(placesOf)
  let frequency = 0
  for (const [place, isHeading] of first)
    if (others.every((word, index) => word.get(place + index + 1) === isHeading)) frequency += isHeading ? sectionWeight : 1
  return frequency
}

function placesOf(words: readonly WordPlaces[]): ReadonlyMap<number, boolean> {
  return new Map(
    words.flatMap(({ places, isHeading }) => places.map((place, index) => [place, isHeading[index] ?? false] as const)),
  )
}
