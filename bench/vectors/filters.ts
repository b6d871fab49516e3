import { dot } from '../../src/engine/local/vector-codes.ts'
import type { SpaceVectors } from '../../src/engine/local/vector-space.ts'
import { percentile } from '../statistics.ts'
import { createRandom } from './data.ts'
import type { Data } from './ours.ts'

export type FilterFigures = Readonly<{ filter: string; recall: number; milliseconds: number }>

const shares = [0.9, 0.5, 0.2, 0.05, 0.01, 0.001]

/**
 * Recall and time with filters: random shares of all vectors, and the worst kind, which lets through only the half that is farther
 * from the query. The truth is a plain loop over all vectors.
 */
export function measureFilters(space: SpaceVectors, data: Data, k: number, queries: number): readonly FilterFigures[] {
  const some = data.queries.slice(0, queries)
  const scores = some.map((query) => scoresOf(query, data))
  const count = data.vectors.length / data.dimensions
  const everyId = Array.from({ length: count }, (_, id) => id)

  function measure(filter: string, allowedFor: (scores: Float64Array) => readonly number[]): FilterFigures {
    const milliseconds: number[] = []
    let hits = 0
    for (const [place, vector] of some.entries()) {
      const ofQuery = scores[place] ?? new Float64Array()
      const allowed = allowedFor(ofQuery)
      const within = Float64Array.from(allowed)
      const startedAt = performance.now()
      const found = space.search({ vector, k, within }).map(({ id }) => id)
      milliseconds.push(performance.now() - startedAt)
      const truth = allowed.toSorted((one, other) => (ofQuery[other] ?? 0) - (ofQuery[one] ?? 0)).slice(0, k)
      hits += truth.filter((id) => found.includes(id)).length / truth.length
    }
    return { filter, recall: hits / some.length, milliseconds: percentile(milliseconds, 50) }
  }

  return [
    ...shares.map((share) => {
      const random = createRandom(share * 1000)
      const allowed = everyId.filter(() => random() < share)
      return measure(`${share * 100} % at random`, () => allowed)
    }),
    measure('the farther half', (ofQuery) => {
      const middle = percentile([...ofQuery], 50)
      return everyId.filter((id) => (ofQuery[id] ?? 0) < middle)
    }),
  ]
}

function scoresOf(query: Float32Array, { dimensions, vectors }: Data): Float64Array {
  return Float64Array.from({ length: vectors.length / dimensions }, (_, row) => dot(query, vectors, row * dimensions))
}
