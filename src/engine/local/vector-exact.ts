import { exactSearch, MetricKind } from 'usearch'
import type { Nearest } from './vector-nearest.ts'
import type { Slab } from './vector-rows.ts'

/** A vector of unit length that is searched for, with its code. */
export type CodedQuery = Readonly<{ vector: Float32Array; codes: Int8Array; codeError: number }>

/**
 * How many of a slab's best are looked at again. It must be enough that the last of them is surely worse than the k-th best: 40 were
 * enough for random vectors, the worst case known; where they are not, the slower pass follows.
 */
const coarseCount = (k: number) => 4 * k + 64
const floatCount = (k: number) => k + 22

/** What usearch's single precision may add to the error: a hundred times what was seen. */
const roundingError = 1e-4

/**
 * Adds the nearest of a slab's vectors. The result is that of comparing all vectors in double precision, reached by reading a
 * quarter of the memory, which is what the time goes to: the one-byte codes say how well each vector can fit at most, and only
 * those that could still count are compared in full.
 */
export function searchSlab(slab: Slab, query: CodedQuery, nearest: Nearest): void {
  const { count, codeError } = slab
  const coarse = Math.min(count, coarseCount(nearest.k))
  const byCode = (wanted: number) => exactSearch(slab.codes(), query.codes, query.codes.length, wanted, MetricKind.Cos, 1)
  // 1.001: what counts as unit length may be so long.
  if (settle(byCode(coarse), 1.001 * codeError + query.codeError)) return
  const precise = Math.min(count, floatCount(nearest.k))
  const byFloat = (wanted: number) => exactSearch(slab.vectors(), query.vector, query.vector.length, wanted, MetricKind.IP, 1)
  if (settle(byFloat(precise), 0)) return
  // So many alike that even these could not be told apart.
  for (let row = 0; row < count; row += 1) nearest.add(slab.idAt(row), slab.score(query.vector, row))

  /** Compares the found ones in full until the next cannot count any more. Gives false when those that were not found still could. */
  function settle(found: ReturnType<typeof exactSearch>, error: number): boolean {
    for (const [place, key] of found.keys.entries()) {
      if (1 - (found.distances[place] ?? 0) + error + roundingError < nearest.worst()) return true
      const row = Number(key)
      nearest.add(slab.idAt(row), slab.score(query.vector, row))
    }
    return found.keys.length === count
  }
}
