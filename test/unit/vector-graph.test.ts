import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRandom } from '../../src/engine/local/random.ts'
import { createVectorGraph } from '../../src/engine/local/vector-graph.ts'
import { createSpaceVectors, type SpaceVectors } from '../../src/engine/local/vector-space.ts'
import { bruteForce, clustered, findDifference, randomUnit } from './vector-world.ts'

const dimensions = 16
const done = () => false
/** As the worker does it: turn after turn, until there is nothing more to do. */
function finish(space: SpaceVectors): void {
  while (space.improve(done));
}
/** Enough that asking the graph is worth it, for ten hits. */
const count = 10_500
const vectors = clustered(count + 60, dimensions, 9)
const queries = vectors.slice(count)
const vectorOf = (id: number) => vectors[id] ?? new Float32Array(dimensions)

function addAll(space: SpaceVectors, model: Map<number, Float32Array>, entries: Iterable<readonly [number, Float32Array]>): void {
  for (const [id, vector] of entries) {
    space.add({ ids: Float64Array.of(id), vectors: vector })
    model.set(id, vector)
  }
}

function removeAll(space: SpaceVectors, model: Map<number, Float32Array>, ids: readonly number[]): void {
  space.remove(Float64Array.from(ids))
  for (const id of ids) model.delete(id)
}

/** The share of the true ten nearest that are found; every hit must exist, and have its true score. */
function recall(space: SpaceVectors, model: ReadonlyMap<number, Float32Array>, within?: readonly number[]): number {
  const shares = queries.map((vector) => {
    const found = space.search({ vector, k: 10, ...(within === undefined ? {} : { within: Float64Array.from(within) }) })
    const alone = new Map(found.map(({ id }) => [id, model.get(id) ?? new Float32Array(dimensions)] as const))
    expect(findDifference(found, bruteForce(alone, { vector, k: 10 }))).toBeUndefined()
    const truth = bruteForce(model, { vector, k: 10, within })
    return truth.filter(({ id }) => found.some((hit) => hit.id === id)).length / truth.length
  })
  return shares.reduce((sum, share) => sum + share, 0) / shares.length
}

test('a graph answers when it is made, exactly until then, and follows what is added, replaced and removed', () => {
  const space = createSpaceVectors({ dimensions, graphNumbers: 1000 * dimensions })
  const model = new Map<number, Float32Array>()
  const ids = Array.from({ length: count }, (_, id) => id)
  addAll(
    space,
    model,
    ids.map((id) => [id, vectorOf(id)] as const),
  )
  finish(space)
  expect(space.statistics()).toMatchObject({ vectors: count, method: 'exact' })
  space.endLoad()
  expect(space.improve(() => true)).toBe(true)
  expect([space.statistics().method, recall(space, model)]).toEqual(['exact', 1])
  finish(space)
  expect(space.statistics().method).toBe('hnsw')
  expect(recall(space, model)).toBeGreaterThan(0.99)

  // Some change places: none may be found where it was. They are not in the graph at first.
  const moved = ids.filter((id) => id % 11 === 0)
  removeAll(
    space,
    model,
    ids.filter((id) => id % 13 === 0),
  )
  addAll(
    space,
    model,
    moved.map((id) => [id, vectorOf((id * 7 + 1) % count)] as const),
  )
  expect(space.statistics().method).toBe('hnsw')
  expect(recall(space, model)).toBeGreaterThan(0.99)
  finish(space)
  expect(recall(space, model)).toBeGreaterThan(0.99)

  for (const part of [1, 2, 3, 20])
    expect(
      recall(
        space,
        model,
        ids.filter((id) => id % part === 0),
      ),
    ).toBeGreaterThan(0.99)
  expect(recall(space, model, [5, 6, 99_999])).toBe(1)
})

test('the vectors that a graph is measured with come into it only afterwards', () => {
  const space = createSpaceVectors({ dimensions, graphNumbers: 1000 * dimensions })
  addAll(space, new Map(), vectors.slice(0, 1500).entries())
  space.endLoad()
  expect(space.improve(done)).toBe(true)
  const measured = space.statistics()
  finish(space)
  expect(measured.method).toBe('hnsw')
  expect(space.statistics().memoryBytes).toBeGreaterThan(measured.memoryBytes)
})

test('a graph of a space that has grown is made anew, and measured again', () => {
  const space = createSpaceVectors({ dimensions, graphNumbers: 1000 * dimensions })
  const model = new Map<number, Float32Array>()
  addAll(space, model, vectors.slice(0, 1000).entries())
  space.endLoad()
  finish(space)
  addAll(space, model, [...vectors.slice(0, 3000).entries()].slice(1000))
  expect(space.statistics().method).toBe('hnsw')
  addAll(space, model, [[3000, vectorOf(3000)]])
  expect(space.statistics().method).toBe('exact')
  finish(space)
  expect(space.statistics()).toMatchObject({ method: 'hnsw', vectors: 3001 })
})

test('a graph with many dead nodes is made anew, and one of a space that became small is given up', () => {
  const space = createSpaceVectors({ dimensions, graphNumbers: 1000 * dimensions })
  const model = new Map<number, Float32Array>()
  addAll(space, model, vectors.slice(0, 1500).entries())
  space.endLoad()
  finish(space)
  const first = space.statistics().memoryBytes
  removeAll(
    space,
    model,
    Array.from({ length: 400 }, (_, id) => id),
  )
  finish(space)
  expect(space.statistics()).toMatchObject({ method: 'hnsw', vectors: 1100 })
  expect(space.statistics().memoryBytes).toBeLessThan(first)
  removeAll(
    space,
    model,
    Array.from({ length: 1100 }, (_, place) => 400 + place),
  )
  expect(space.statistics()).toMatchObject({ method: 'exact', vectors: 0 })
  expect(space.search({ vector: vectorOf(1), k: 3 })).toEqual([])
})

test('a graph gives living ids only, each once, whatever was added, replaced and removed', () => {
  const anOperation = fc.record({ removes: fc.boolean(), id: fc.nat(20), seed: fc.nat(1000) })
  fc.assert(
    fc.property(fc.array(anOperation, { maxLength: 60 }), (operations) => {
      const graph = createVectorGraph(8)
      const model = new Map<number, Float32Array>()
      for (const { removes, id, seed } of operations) {
        const vector = randomUnit(8, createRandom(seed))
        if (removes) graph.remove(id)
        else graph.add(id, vector)
        if (removes) model.delete(id)
        else model.set(id, vector)
        expect(graph.count).toBe(model.size)
        const found = graph.search(vector, 30)
        expect(new Set(found).size).toBe(found.length)
        expect(found.filter((one) => !model.has(one))).toEqual([])
        if (!removes) expect(found.slice(0, 3)).toContain(id)
      }
    }),
    { numRuns: 100 },
  )
})
