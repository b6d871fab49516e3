import { exactSearch, MetricKind } from 'usearch'
import type { Nearest } from './vector-nearest.ts'
import type { Slab } from './vector-rows.ts'

/** A vector of unit length that is searched for, with its code. */
export type CodedQuery = Readonly<{ vector: Float32Array; codes: Int8Array; codeError: number }>

/** Which rows of a slab count, 1 or 0 for each, and what share of them about. */
export type Allowed = Readonly<{ marks: Uint8Array; share: number }>

/**
 * How many of a slab's best by code are looked at again, before all are. The last of them must be surely worse than the k-th best: 40
 * are enough for random vectors, the second number is for those that all point about the same way.
 */
const coarseCounts = (k: number) => [4 * k + 64, 16 * k + 2048]

/** What the arithmetic of single precision may add to the error: a hundred times what was seen. */
const roundingError = 1e-4

/**
 * Adds the nearest of a slab's vectors. The result is that of comparing all vectors in double precision, reached by reading a
 * quarter of the memory, which is what the time goes to: the one-byte codes say how well each vector can fit at most, and only
 * those that could still count are compared in full.
 */
export function searchSlab(slab: Slab, query: CodedQuery, nearest: Nearest, allowed?: Allowed): void {
  const { count } = slab
  // 1.001: what counts as unit length may be so long.
  const error = 1.001 * slab.codeError + query.codeError + roundingError
  for (const coarse of coarseCounts(nearest.k)) {
    const wanted = Math.min(count, Math.ceil(coarse / (allowed?.share ?? 1)))
    const found = exactSearch(slab.codes, query.codes, query.codes.length, wanted, MetricKind.Cos, 1)
    if (settle(found.keys, found.distances)) return
  }
  for (let row = 0; row < count; row += 1) compare(row)

  /** Compares the found in full until the next cannot count any more. Gives false when those that were not found still could. */
  function settle(found: BigUint64Array, distances: Float32Array): boolean {
    for (let place = 0; place < found.length; place += 1) {
      if (1 - (distances[place] ?? 0) + error < nearest.worst()) return true
      compare(Number(found[place]))
    }
    return found.length === count
  }

  function compare(row: number): void {
    if (allowed === undefined || allowed.marks[row] === 1) nearest.add(slab.idAt(row), slab.score(query.vector, row))
  }
}
