import { expect, test } from 'vitest'
import { createRandom } from '../../src/engine/local/random.ts'
import { candidatesFor, comparedFor, createBreadthMeasure } from '../../src/engine/local/vector-breadth.ts'
import { searchRows } from '../../src/engine/local/vector-exact.ts'
import { createVectorGraph, type VectorGraph } from '../../src/engine/local/vector-graph.ts'
import { createNearest } from '../../src/engine/local/vector-nearest.ts'
import { createVectorRows } from '../../src/engine/local/vector-rows.ts'
import { bruteForce, clustered, randomUnit } from './vector-world.ts'

const dimensions = 16

/** Measures a graph that is made of what must be in it. */
function measure(vectors: readonly Float32Array[], graphOf: (inside: ReadonlyMap<number, Float32Array>) => VectorGraph) {
  const rows = createVectorRows(dimensions)
  for (const [id, vector] of vectors.entries()) rows.set(id, vector)
  const graph = createVectorGraph(dimensions)
  const { samples } = createBreadthMeasure(rows, graph)
  const inside = new Map([...vectors.entries()].filter(([id]) => !samples.has(id)))
  const measured = createBreadthMeasure(rows, graphOf(inside))
  expect(measured.samples).toEqual(samples)
  for (let steps = 1; measured.breadth === undefined; steps += 1) {
    expect(steps).toBeLessThanOrEqual(samples.size)
    measured.step()
  }
  return { inside, breadth: measured.breadth }
}

/** What is measured of a graph that finds the nearest, but nothing where it looks at fewer candidates than a vector needs. */
function breadthWhere(vectors: readonly Float32Array[], needed: (vector: Float32Array) => number): number {
  const { breadth } = measure(vectors, (inside) => {
    const exact = createVectorRows(dimensions)
    for (const [id, vector] of inside) exact.set(id, vector)
    return {
      count: inside.size,
      deadShare: () => 0,
      memoryBytes: () => 0,
      add() {},
      remove() {},
      search(vector, candidates, best = candidates) {
        if (candidates < needed(vector)) return []
        const nearest = createNearest(best)
        searchRows(exact, vector, nearest)
        return nearest.hits.map(({ id }) => id)
      },
    }
  })
  return breadth
}

test('a graph is searched as broadly as the recall in the space itself demands, and not at all where no breadth is enough', () => {
  const vectors = clustered(1000, dimensions, 4)
  expect(breadthWhere(vectors, () => 1)).toBe(20)
  expect(breadthWhere(vectors, () => 60)).toBe(64)
  expect(breadthWhere(vectors, () => 1000)).toBe(Number.POSITIVE_INFINITY)
})

test('a recall that may be enough by chance alone is not enough', () => {
  // Nothing is found for one of 200 before it looks at 80: 0.995, but with so few samples the truth may be below 0.99.
  let rare: Float32Array | undefined
  const needed = (vector: Float32Array) => {
    rare ??= vector
    return vector === rare ? 80 : 1
  }
  expect(breadthWhere(clustered(4000, dimensions, 4), needed)).toBe(80)
})

test('what is measured holds for vectors that are not in the space, whether their neighbours are easy to find or not', () => {
  const random = createRandom(3)
  const noise = Array.from({ length: 6200 }, () => randomUnit(dimensions, random))
  const breadths = [clustered(6200, dimensions, 9), noise].map((vectors) => {
    const queries = vectors.slice(6000)
    const graph = createVectorGraph(dimensions)
    const { inside, breadth } = measure(vectors.slice(0, 6000), (entries) => {
      for (const [id, vector] of entries) graph.add(id, vector)
      return graph
    })
    let found = 0
    for (const vector of queries) {
      const ids = graph.search(vector, candidatesFor(10, breadth), comparedFor(10))
      found += bruteForce(inside, { vector, k: 10 }).filter(({ id }) => ids.includes(id)).length
    }
    expect(found / (10 * queries.length)).toBeGreaterThan(0.99)
    return breadth
  })
  expect(breadths[0]).toBeLessThan(breadths[1] ?? 0)
})
