import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRandom } from '../../src/engine/local/random.ts'
import { createSpaceVectors } from '../../src/engine/local/vector-space.ts'
import { bruteForce, clustered, findDifference, randomUnit, unit } from './vector-world.ts'

const pieceOf = (entries: ReadonlyArray<readonly [number, Float32Array]>, dimensions: number) => {
  const vectors = new Float32Array(entries.length * dimensions)
  for (const [place, [, vector]] of entries.entries()) vectors.set(vector, place * dimensions)
  return { ids: Float64Array.from(entries, ([id]) => id), vectors }
}

const within = (ids: readonly number[] | undefined) => (ids === undefined ? {} : { within: Float64Array.from(ids) })

const exactSpace = (dimensions: number, blockRows = 16_384) =>
  createSpaceVectors({ dimensions, blockRows, graphNumbers: Number.POSITIVE_INFINITY })

/** Few different vectors, so that equal scores come often. */
const vectorOf = (dimensions: number, seed: number) => randomUnit(dimensions, createRandom(seed % 12))

const anId = fc.oneof(fc.nat(30), fc.constantFrom(2 ** 32, 2 ** 53 - 1))
const someIds = fc.array(anId, { maxLength: 40 })
const anOperation = fc.oneof(
  fc.record({ type: fc.constant('add' as const), entries: fc.array(fc.tuple(anId, fc.nat(1000)), { maxLength: 12 }) }),
  fc.record({ type: fc.constant('remove' as const), ids: fc.array(anId, { maxLength: 6 }) }),
  fc.record({
    type: fc.constant('search' as const),
    seed: fc.nat(1000),
    k: fc.integer({ min: 1, max: 40 }),
    within: fc.option(someIds, { nil: undefined }),
  }),
)

test('whatever was added, replaced and removed, a search answers what comparing all would', () => {
  fc.assert(
    fc.property(fc.constantFrom(1, 3, 8, 17), fc.array(anOperation, { maxLength: 40 }), (dimensions, operations) => {
      const space = exactSpace(dimensions, 5)
      const model = new Map<number, Float32Array>()
      for (const operation of operations) {
        if (operation.type === 'add') {
          const entries = operation.entries.map(([id, seed]) => [id, vectorOf(dimensions, seed)] as const)
          space.add(pieceOf(entries, dimensions))
          for (const [id, vector] of entries) model.set(id, vector)
        } else if (operation.type === 'remove') {
          space.remove(Float64Array.from(operation.ids))
          for (const id of operation.ids) model.delete(id)
        } else {
          const query = { vector: vectorOf(dimensions, operation.seed), k: operation.k }
          const found = space.search({ ...query, ...within(operation.within) })
          expect(findDifference(found, bruteForce(model, { ...query, within: operation.within }))).toBeUndefined()
        }
        expect(space.statistics()).toMatchObject({ vectors: model.size, method: 'exact' })
      }
    }),
    { numRuns: 300 },
  )
})

test('equal scores come in the order of their ids, also when more are equal than are wanted', () => {
  const space = exactSpace(4, 300)
  const same = unit([1, 2, 3, 4])
  const ids = Array.from({ length: 1000 }, (_, place) => 999 - place)
  space.add(pieceOf([...ids.map((id) => [id, same] as const), [5000, unit([1, 2, 3, 4.5])]], 4))
  expect(space.search({ vector: same, k: 5 }).map(({ id }) => id)).toEqual([0, 1, 2, 3, 4])
  expect(space.search({ vector: same, k: 3, ...within([700, 5000, 20, 800, 20]) }).map(({ id }) => id)).toEqual([20, 700, 800])
})

test('vectors that one-byte codes cannot tell apart are told apart all the same', () => {
  const random = createRandom(5)
  const dimensions = 64
  const centre = randomUnit(dimensions, random)
  const vectors = new Map(
    Array.from({ length: 2000 }, (_, id) => [id, unit(centre.map((value) => value + 1e-3 * (random() - 0.5)))] as const),
  )
  const space = exactSpace(dimensions)
  space.add(pieceOf([...vectors], dimensions))
  for (const id of [0, 77, 1999]) {
    const query = { vector: vectors.get(id) ?? centre, k: 10 }
    expect(findDifference(space.search(query), bruteForce(vectors, query))).toBeUndefined()
    expect(space.search(query)[0]).toMatchObject({ id, score: expect.closeTo(1, 6) })
  }
})

test('a query that is a part of a larger array is the one that is searched for', () => {
  const all = clustered(300, 16, 3)
  const space = exactSpace(16)
  space.add(pieceOf([...all.entries()], 16))
  const flat = Float32Array.from(all.flatMap((vector) => [...vector]))
  for (const id of [0, 1, 150, 299]) expect(space.search({ vector: flat.subarray(id * 16, (id + 1) * 16), k: 1 })[0]?.id).toBe(id)
})
