import fc from 'fast-check'
import { expect, test } from 'vitest'
import { createRandom } from '../src/engine/local/random.ts'
import type { VectorIndex, VectorSpace } from '../src/engine/vector-index.ts'
import { bruteForce, findDifference, randomUnit } from './unit/vector-world.ts'

/** An index over rows that the test writes; the index is told of none of it. */
export type IndexedRows = Readonly<{
  index: VectorIndex
  space: VectorSpace
  /** Another space of the same rows' database, empty. */
  other: VectorSpace
  write(space: VectorSpace, vectors: ReadonlyMap<number, Float32Array>): Promise<void>
  erase(space: VectorSpace, ids: readonly number[]): Promise<void>
  close(): Promise<void>
}>

const never = new AbortController().signal
export const contractDimensions = 8

/** Few different vectors, so that equal scores come often. */
const vectorOf = (seed: number) => randomUnit(contractDimensions, createRandom(seed % 12))

const ids = fc.array(fc.nat(40), { maxLength: 30 })
const change = fc.oneof(
  fc.record({ type: fc.constant('write' as const), entries: fc.array(fc.tuple(fc.nat(40), fc.nat(1000)), { maxLength: 12 }) }),
  fc.record({ type: fc.constant('erase' as const), ids }),
  fc.record({
    type: fc.constant('search' as const),
    seed: fc.nat(1000),
    k: fc.integer({ min: 1, max: 40 }),
    within: fc.option(ids, { nil: undefined }),
  }),
)

/** What every vector index promises. */
export function testVectorIndex(open: (options?: Readonly<{ maxWaiting: number }>) => Promise<IndexedRows>): void {
  test('whatever was added, replaced and removed, a search answers what comparing all would, equal scores by id', async () => {
    const { index, space, write, erase, close } = await open()
    const model = new Map<number, Float32Array>()
    await fc.assert(
      fc.asyncProperty(fc.array(change, { maxLength: 20 }), async (changes) => {
        for (const one of changes) {
          if (one.type === 'write') {
            const vectors = new Map(one.entries.map(([id, seed]) => [id, vectorOf(seed)]))
            await write(space, vectors)
            await index.add(space, { ids: [...vectors.keys()], vectors: [...vectors.values()] })
            for (const [id, vector] of vectors) model.set(id, vector)
          } else if (one.type === 'erase') {
            await erase(space, one.ids)
            await index.remove(space, one.ids)
            for (const id of one.ids) model.delete(id)
          } else {
            const { k, within } = one
            const query = { vector: vectorOf(one.seed), k, ...(within === undefined ? {} : { within }) }
            expect(findDifference(await index.search(space, query, never), bruteForce(model, query))).toBeUndefined()
          }
        }
        expect(await index.statistics(space, never)).toMatchObject({ vectors: model.size, dimensions: contractDimensions })
      }),
      { numRuns: 40 },
    )
    await close()
  })

  test('equal scores come in the order of their ids, and spaces know nothing of each other', async () => {
    const { index, space, other, write, close } = await open()
    await write(space, new Map([30, 4, 17, 9].map((id) => [id, vectorOf(1)])))
    await write(other, new Map([[50, vectorOf(1)]]))
    const find = async (where: VectorSpace, k: number) =>
      (await index.search(where, { vector: vectorOf(1), k }, never)).map(({ id }) => id)
    expect(await find(space, 3)).toEqual([4, 9, 17])
    expect(await find(other, 3)).toEqual([50])
    await index.drop(space)
    expect(await find(space, 9)).toEqual([4, 9, 17, 30])
    expect(await index.search(space, { vector: vectorOf(1), k: 3, within: [] }, never)).toEqual([])
    await close()
  })

  test('what does not fit is refused with both sizes', async () => {
    const { index, space, close } = await open()
    const short = Float32Array.of(1, 0, 0)
    const both = { code: 'invalid', message: expect.stringMatching(/8.*3/) }
    await expect(index.search(space, { vector: short, k: 1 }, never)).rejects.toMatchObject(both)
    await expect(index.add(space, { ids: [7, 8], vectors: [vectorOf(7), short] })).rejects.toMatchObject(both)
    for (const part of [0, Number.NaN, Number.POSITIVE_INFINITY, 1]) {
      const vector = new Float32Array(contractDimensions).fill(part)
      await expect(index.search(space, { vector, k: 1 }, never)).rejects.toMatchObject({ code: 'invalid' })
      await expect(index.add(space, { ids: [7], vectors: [vector] })).rejects.toMatchObject({ code: 'invalid' })
    }
    for (const id of [-1, 1.5, 2 ** 53, Number.NaN]) {
      await expect(index.add(space, { ids: [id], vectors: [vectorOf(1)] })).rejects.toMatchObject({ code: 'invalid' })
      await expect(index.remove(space, [id])).rejects.toMatchObject({ code: 'invalid' })
    }
    for (const k of [0, -1, 1.5, Number.NaN])
      await expect(index.search(space, { vector: vectorOf(1), k }, never)).rejects.toMatchObject({ code: 'invalid' })
    await close()
  })

  test('too many searches at once are refused, whoever leaves hears it at once, and after the end there is none', async () => {
    const { index, space, write, close } = await open({ maxWaiting: 2 })
    await write(space, new Map([[1, vectorOf(1)]]))
    const search = (signal: AbortSignal) => index.search(space, { vector: vectorOf(1), k: 1 }, signal)
    const first = [search(never), search(never)]
    await expect(search(never)).rejects.toMatchObject({ code: 'busy', retryAfterSeconds: 1 })
    await Promise.all(first)
    await expect(search(AbortSignal.abort())).rejects.toMatchObject({ code: 'aborted' })
    expect(await search(never)).toMatchObject([{ id: 1, score: expect.closeTo(1, 6) }])
    await index.close()
    await expect(search(never)).rejects.toMatchObject({ code: 'unavailable' })
    await close()
  })
}
