import type { VectorHit } from '../vector-index.ts'

/** The best of what was added so far: higher scores first, equal ones by id. */
export interface Nearest {
  readonly k: number
  /** What a score must reach to count; -Infinity while there are fewer than `k`. */
  worst(): number
  /** Adding the same twice changes nothing. */
  add(id: number, score: number): void
  readonly hits: readonly VectorHit[]
}

export function createNearest(k: number): Nearest {
  const hits: VectorHit[] = []

  function add(id: number, product: number): void {
    // Rounding may lead a product of unit vectors a little beyond what a cosine can be.
    const score = Math.min(1, Math.max(-1, product))
    let [from, to] = [0, hits.length]
    while (from < to) {
      const middle = (from + to) >> 1
      const other = hits[middle]
      if (other !== undefined && (other.score > score || (other.score === score && other.id < id))) from = middle + 1
      else to = middle
    }
    if (from >= k || hits[from]?.id === id) return
    hits.splice(from, 0, { id, score })
    if (hits.length > k) hits.pop()
  }

  return {
    k,
    hits,
    add,
    worst: () => (hits.length < k ? Number.NEGATIVE_INFINITY : (hits.at(-1)?.score ?? Number.NEGATIVE_INFINITY)),
  }
}
