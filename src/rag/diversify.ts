import { dot } from '../engine/local/vector-codes.ts'

export type Candidate<Item> = Readonly<{
  item: Item
  /** Higher is better; any scale. */
  relevance: number
  /** Of unit length; undefined where there is none. */
  vector: Float32Array | undefined
}>

export type Diversified<Item> = Readonly<{
  chosen: readonly Item[]
  /** What says almost the same as something that was chosen. */
  duplicates: readonly Item[]
}>

/** How much relevance counts against being new, from 0 to 1. */
const relevanceShare = 0.8
/** Texts whose vectors are closer than this differ by a few words at most. */
const duplicateCosine = 0.97

/**
 * Chooses the most relevant that also say something new: maximal marginal relevance, over relevances scaled to 0…1. Near-duplicates of
 * what was chosen are left out altogether.
 * Source: Carbonell and Goldstein, "The Use of MMR, Diversity-Based Reranking for Reordering Documents and Producing Summaries", SIGIR 1998.
 */
export function diversify<Item>(candidates: readonly Candidate<Item>[], count: number): Diversified<Item> {
  const relevanceOf = scaleRelevance(candidates)
  const chosen: Candidate<Item>[] = []
  const duplicates: Item[] = []
  const left = new Set(candidates)
  while (chosen.length < count && left.size > 0) {
    let best: Candidate<Item> | undefined
    let bestValue = Number.NEGATIVE_INFINITY
    for (const candidate of left) {
      const likeness = likenessTo(chosen, candidate)
      if (likeness > duplicateCosine) {
        left.delete(candidate)
        duplicates.push(candidate.item)
        continue
      }
      const value = relevanceShare * relevanceOf(candidate) - (1 - relevanceShare) * Math.max(0, likeness)
      if (value > bestValue) {
        best = candidate
        bestValue = value
      }
    }
    if (best === undefined) break
    left.delete(best)
    chosen.push(best)
  }
  return { chosen: chosen.map(({ item }) => item), duplicates }
}

function scaleRelevance<Item>(candidates: readonly Candidate<Item>[]): (candidate: Candidate<Item>) => number {
  const values = candidates.map(({ relevance }) => relevance)
  const lowest = values.reduce((least, value) => Math.min(least, value), Number.POSITIVE_INFINITY)
  const range = values.reduce((most, value) => Math.max(most, value), Number.NEGATIVE_INFINITY) - lowest
  return ({ relevance }) => (range > 0 ? (relevance - lowest) / range : 1)
}

/** The greatest cosine to one of the chosen; -1 where nothing can be compared. */
function likenessTo<Item>(chosen: readonly Candidate<Item>[], { vector }: Candidate<Item>): number {
  if (vector === undefined) return -1
  return chosen.reduce((most, other) => (other.vector === undefined ? most : Math.max(most, dot(vector, other.vector, 0))), -1)
}
