import { searchRows } from './vector-exact.ts'
import type { VectorGraph } from './vector-graph.ts'
import { createNearest } from './vector-nearest.ts'
import type { VectorRows } from './vector-rows.ts'

/** Hits that recall is measured with. */
const measuredHits = 10
const samples = 200

/** A little more than the 0.99 that is promised, as a sample is only a sample. */
const wantedRecall = 0.993

/** Candidates for ten hits that are tried. With more, comparing all is as quick, up to half a million vectors. */
const breadths = [24, 32, 40, 48, 64, 80, 96, 128, 192, 256] as const

/** How many candidates the graph looks at for k hits (HNSW's efSearch), when it looks at `breadth` for ten. */
export const candidatesFor = (k: number, breadth: number) => Math.max(comparedFor(k), Math.ceil((breadth * (k + 6)) / 16))

/** How many of them are compared in full. Measured: one-byte codes put no true one further back than this. */
export const comparedFor = (k: number) => k + 10

/**
 * Finds out how many candidates a graph must look at: how well neighbours can be told apart differs from one collection to the next.
 * Vectors of the space itself are searched for in both ways, one with each call. It gives the breadth after the last: infinite when no
 * breadth is enough, undefined before.
 */
export function createBreadthMeasure(rows: VectorRows, graph: VectorGraph): () => number | undefined {
  const found = breadths.map(() => 0)
  let expected = 0
  let done = 0

  return () => {
    const row = Math.floor((done * rows.count) / samples)
    done += 1
    const vector = rows.vectorAt(row)
    // One more, as the vector itself is among them, and always found.
    const nearest = createNearest(measuredHits + 1)
    searchRows(rows, vector, nearest)
    const others = nearest.hits.map(({ id }) => id).filter((id) => rows.rowOf(id) !== row)
    expected += others.length
    for (const [place, breadth] of breadths.entries()) {
      const compared = graph.search(vector, candidatesFor(measuredHits, breadth)).slice(0, comparedFor(measuredHits))
      found[place] = (found[place] ?? 0) + others.filter((id) => compared.includes(id)).length
    }
    if (done < samples) return undefined
    return breadths.find((_, place) => (found[place] ?? 0) >= wantedRecall * expected) ?? Number.POSITIVE_INFINITY
  }
}
