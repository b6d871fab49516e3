import type { VectorHit, VectorSpaceStatistics } from '../vector-index.ts'
import { encodeDirection } from './vector-codes.ts'
import { type CodedQuery, searchSlab } from './vector-exact.ts'
import { createNearest } from './vector-nearest.ts'
import type { VectorPiece } from './vector-protocol.ts'
import { createVectorRows } from './vector-rows.ts'

/** So many rows of a filter are copied together at a time, which bounds the memory and stays in the processor's cache. */
const gatherRows = 4096

export type SpaceQuery = Readonly<{ vector: Float32Array; k: number; within?: Float64Array }>

/** The vectors of one space, and how they are searched. */
export interface SpaceVectors {
  add(piece: VectorPiece): void
  remove(ids: Float64Array): void
  search(query: SpaceQuery): readonly VectorHit[]
  statistics(): VectorSpaceStatistics
}

export function createSpaceVectors(dimensions: number, blockRows?: number): SpaceVectors {
  const rows = createVectorRows(dimensions, blockRows)

  function codedQuery(vector: Float32Array): CodedQuery {
    // A copy: usearch's exact search heeds no offset, and what comes in a message begins somewhere in it.
    const copy = vector.slice()
    const codes = new Int8Array(dimensions)
    return { vector: copy, codes, codeError: encodeDirection(copy, codes) }
  }

  /** The rows of the ids that are here, each once, in ascending order. */
  function rowsOf(ids: Float64Array): Uint32Array {
    const found = new Set<number>()
    for (const id of ids) {
      const row = rows.rowOf(id)
      if (row !== undefined) found.add(row)
    }
    return Uint32Array.from(found).sort()
  }

  return {
    add({ ids, vectors }) {
      for (const [place, id] of ids.entries()) rows.set(id, vectors.subarray(place * dimensions, (place + 1) * dimensions))
    },
    remove(ids) {
      for (const id of ids) rows.remove(id)
    },
    search({ vector, k, within }) {
      const nearest = createNearest(k)
      const query = codedQuery(vector)
      if (within === undefined) for (const slab of rows.slabs()) searchSlab(slab, query, nearest)
      else {
        const chosen = rowsOf(within)
        for (let start = 0; start < chosen.length; start += gatherRows)
          searchSlab(rows.gather(chosen.slice(start, start + gatherRows)), query, nearest)
      }
      return nearest.hits
    },
    statistics: () => ({ vectors: rows.count, dimensions, method: 'exact', memoryBytes: rows.memoryBytes() }),
  }
}
