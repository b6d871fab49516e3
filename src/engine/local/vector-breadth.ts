import { searchRows } from './vector-exact.ts'
import type { VectorGraph } from './vector-graph.ts'
import { createNearest } from './vector-nearest.ts'
import type { VectorRows } from './vector-rows.ts'

/** The share of the true nearest that a graph must find at the least. */
const wantedRecall = 0.99

/** Hits that recall is measured with, and vectors that are searched for: no more than this part of a small space. */
const measuredHits = 10
const mostSamples = 500
const samplePart = 20

/** A sample is only a sample: the recall must be enough even when it is lower by so many standard errors. */
const safeErrors = 2

/** Candidates for ten hits that are tried. With more, comparing all is as quick, up to some hundred thousand vectors. */
const breadths = [20, 24, 28, 32, 40, 48, 56, 64, 72, 80, 96, 128, 192, 256] as const

/** How many candidates the graph looks at for k hits (HNSW's efSearch), when it looks at `breadth` for ten. */
export const candidatesFor = (k: number, breadth: number) => Math.max(comparedFor(k), Math.ceil((breadth * (k + 6)) / 16))

/** How many of them are compared in full. Measured: among the best 16 by their codes are 0.9997 of the true ten. */
export const comparedFor = (k: number) => Math.ceil(1.4 * k) + 2

/** How far a graph must be searched: how well neighbours can be told apart differs from one collection to the next. */
export interface BreadthMeasure {
  /**
   * The vectors to measure with, from all over the space. They must stay out of the graph until then, as those that will be searched
   * for are: what is in a graph is found too easily.
   */
  readonly samples: ReadonlySet<number>
  /** Candidates for ten hits, infinite when no number is enough; undefined before the last step. */
  readonly breadth: number | undefined
  /** Searches for one vector in both ways, a few milliseconds. All others must be in the graph. */
  step(): void
}

export function createBreadthMeasure(rows: VectorRows, graph: VectorGraph): BreadthMeasure {
  const samples = chooseSamples(rows)
  const waiting = [...samples]
  const recalls = breadths.map((): number[] => [])
  let breadth: number | undefined

  function measure(vector: Float32Array): void {
    // More than are wanted, as the vector itself and others of the samples are among them.
    const nearest = createNearest(2 * measuredHits)
    searchRows(rows, vector, nearest)
    const ids = nearest.hits.map(({ id }) => id).filter((id) => !samples.has(id))
    const truth = ids.slice(0, measuredHits)
    if (truth.length === 0) return
    for (const [place, tried] of breadths.entries()) {
      const found = graph.search(vector, candidatesFor(measuredHits, tried), comparedFor(measuredHits))
      recalls[place]?.push(truth.filter((id) => found.includes(id)).length / truth.length)
    }
  }

  return {
    samples,
    get breadth() {
      return breadth
    },
    step() {
      const row = rows.rowOf(waiting.pop() ?? Number.NaN)
      if (row !== undefined) measure(rows.vectorAt(row))
      if (waiting.length === 0)
        breadth = breadths.find((_, place) => surelyAtLeast(recalls[place] ?? []) >= wantedRecall) ?? Number.POSITIVE_INFINITY
    },
  }
}

function chooseSamples(rows: VectorRows): ReadonlySet<number> {
  const count = Math.min(mostSamples, Math.ceil(rows.count / samplePart))
  return new Set(Array.from({ length: count }, (_, place) => rows.idAt(Math.floor((place * rows.count) / count))))
}

/** What the mean is at the least, but for chance. */
function surelyAtLeast(values: readonly number[]): number {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length
  const variance = values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length
  return mean - safeErrors * Math.sqrt(variance / values.length)
}
