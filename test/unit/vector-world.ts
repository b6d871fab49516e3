import { createRandom } from '../../src/engine/local/random.ts'
import type { VectorHit } from '../../src/engine/vector-index.ts'

/** From the normal distribution (Box-Muller). */
export function normal(random: () => number): number {
  return Math.sqrt(-2 * Math.log(1 - random())) * Math.cos(2 * Math.PI * random())
}

export function unit(values: Iterable<number>): Float32Array {
  const vector = Float32Array.from(values)
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
  return vector.map((value) => value / length)
}

export function randomUnit(dimensions: number, random: () => number): Float32Array {
  return unit(Array.from({ length: dimensions }, () => normal(random)))
}

/** Unit vectors in clusters, which is what texts give: a few directions matter, the others are noise. */
export function clustered(count: number, dimensions: number, seed: number): readonly Float32Array[] {
  const random = createRandom(seed)
  const centres = Array.from({ length: Math.ceil(count / 50) }, () => randomUnit(dimensions, random))
  return Array.from({ length: count }, () => {
    const centre = centres[Math.floor(random() * centres.length)] ?? new Float32Array(dimensions)
    return unit(centre.map((value) => value + (0.7 * normal(random)) / Math.sqrt(dimensions)))
  })
}

export const cosine = (one: Float32Array, other: Float32Array) =>
  one.reduce((sum, value, part) => sum + value * (other[part] ?? 0), 0)

/** What an index must answer: all vectors compared, equal scores by id. */
export function bruteForce(
  vectors: ReadonlyMap<number, Float32Array>,
  query: Readonly<{ vector: Float32Array; k: number; within?: readonly number[] | undefined }>,
): readonly VectorHit[] {
  const ids = query.within === undefined ? [...vectors.keys()] : [...new Set(query.within)]
  return ids
    .flatMap((id) => {
      const vector = vectors.get(id)
      return vector === undefined ? [] : [{ id, score: cosine(query.vector, vector) }]
    })
    .sort((one, other) => other.score - one.score || one.id - other.id)
    .slice(0, query.k)
}

/**
 * Whether hits are right: scores as expected, and the ids too but where scores differ by less than rounding. Gives what is wrong.
 */
export function findDifference(got: readonly VectorHit[], expected: readonly VectorHit[]): string | undefined {
  if (got.length !== expected.length) return `${got.length} hits instead of ${expected.length}`
  for (const [place, { id, score }] of got.entries()) {
    const other = expected[place]
    if (other === undefined || Math.abs(other.score - score) > 1e-6) return `hit ${place}: ${score} instead of ${other?.score}`
    const twin = expected.find((hit) => hit.id === id)
    const last = expected.at(-1)?.score ?? 0
    if (Math.abs((twin?.score ?? last) - score) > 1e-6) return `hit ${place} is ${id}`
  }
  return new Set(got.map(({ id }) => id)).size === got.length ? undefined : 'an id comes twice'
}
