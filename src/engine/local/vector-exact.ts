import { exactSearch, MetricKind } from 'usearch'
import { encodeDirection } from './vector-codes.ts'
import type { Nearest } from './vector-nearest.ts'
import type { Slab, VectorRows } from './vector-rows.ts'

/** Which rows count, 1 or 0 for each, and how many do. */
export type Marked = Readonly<{ marks: Uint8Array; count: number }>

/** A vector of unit length that is searched for, with its code. */
type CodedQuery = Readonly<{ vector: Float32Array; codes: Int8Array; codeError: number }>

/** Which rows of a slab count, and what share of them about. */
type Allowed = Readonly<{ marks: Uint8Array; share: number }>

/** So many rows are copied together at a time, which bounds the memory and stays in the processor's cache. */
const copiedRows = 4096

/** With a larger share of the rows, comparing all takes less time than copying those that count (measured). */
const copiedShare = 0.15

/**
 * How many of a slab's best by code are looked at again, before all are. The last of them must be surely worse than the k-th best: 40
 * are enough for random vectors, the second number is for those that all point about the same way.
 */
const coarseCounts = (k: number) => [4 * k + 64, 16 * k + 2048]

/** What the arithmetic of single precision may add to the error: a hundred times what was seen. */
const roundingError = 1e-4

/** The rows that ids are of; ids that are not there are left out. */
export function markRows(rows: VectorRows, ids: Float64Array): Marked {
  const marks = new Uint8Array(rows.count)
  let count = 0
  // Loops by place: filters may let a hundred thousand ids through, and iterators take twice as long.
  for (let place = 0; place < ids.length; place += 1) {
    const row = rows.rowOf(ids[place] ?? Number.NaN)
    if (row === undefined || marks[row] === 1) continue
    marks[row] = 1
    count += 1
  }
  return { marks, count }
}

/** Adds the nearest of all rows, or of those that are marked: within all where these are many, else in copies of them. */
export function searchRows(rows: VectorRows, vector: Float32Array, nearest: Nearest, marked?: Marked): void {
  const query = codeQuery(vector)
  if (marked === undefined) {
    for (const slab of rows.slabs()) searchSlab(slab, query, nearest)
    return
  }
  const { marks, count } = marked
  const share = count / rows.count
  if (share < copiedShare) {
    searchCopies(rows, query, nearest, marks)
    return
  }
  let start = 0
  for (const slab of rows.slabs()) {
    searchSlab(slab, query, nearest, { marks: marks.subarray(start, start + slab.count), share })
    start += slab.count
  }
}

function searchCopies(rows: VectorRows, query: CodedQuery, nearest: Nearest, marks: Uint8Array): void {
  const chosen = new Uint32Array(copiedRows)
  let size = 0
  for (let row = 0; row < marks.length; row += 1) {
    if (marks[row] !== 1) continue
    chosen[size] = row
    size += 1
    if (size < copiedRows) continue
    searchSlab(rows.gather(chosen), query, nearest)
    size = 0
  }
  if (size > 0) searchSlab(rows.gather(chosen.subarray(0, size)), query, nearest)
}

function codeQuery(vector: Float32Array): CodedQuery {
  const codes = new Int8Array(vector.length)
  return { vector, codes, codeError: encodeDirection(vector, codes) }
}

/**
 * Adds the nearest of a slab's vectors. The result is that of comparing all vectors in double precision, reached by reading a
 * quarter of the memory, which is what the time goes to: the one-byte codes say how well each vector can fit at most, and only
 * those that could still count are compared in full.
 */
function searchSlab(slab: Slab, query: CodedQuery, nearest: Nearest, allowed?: Allowed): void {
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
