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

/** Ids to measure with, from all over the space. They must stay out of the graph until then: what is in it is found too easily. */
export function chooseSamples(rows: VectorRows): ReadonlySet<number> {
  const count = Math.min(samples, rows.count)
  return new Set(Array.from({ length: count }, (_, place) => rows.idAt(Math.floor((place * rows.count) / count))))
}

/**
 * Finds out how many candidates a graph must look at: how well neighbours can be told apart differs from one collection to the next.
 * Vectors that are not in the graph are searched for in both ways, one with each call. It gives the breadth after the last: infinite
 * when no breadth is enough, undefined before.
 */
export function createBreadthMeasure(rows: VectorRows, graph: VectorGraph, outside: ReadonlySet<number>): () => number | undefined {
  const found = breadths.map(() => 0)
  const waiting = [...outside]
  let expected = 0

  function measure(vector: Float32Array): void {
    // More, as some of them may be outside too, the vector itself among them.
    const nearest = createNearest(2 * measuredHits)
    searchRows(rows, vector, nearest)
    const ids = nearest.hits.map(({ id }) => id).filter((id) => !outside.has(id))
    const truth = ids.slice(0, measuredHits)
    expected += truth.length
    for (const [place, breadth] of breadths.entries()) {
      const compared = graph.search(vector, candidatesFor(measuredHits, breadth)).slice(0, comparedFor(measuredHits))
      found[place] = (found[place] ?? 0) + truth.filter((id) => compared.includes(id)).length
    }
  }

  return () => {
    const row = rows.rowOf(waiting.pop() ?? -1)
    if (row !== undefined) measure(rows.vectorAt(row))
    if (waiting.length > 0) return undefined
    return breadths.find((_, place) => (found[place] ?? 0) >= wantedRecall * expected) ?? Number.POSITIVE_INFINITY
  }
}
