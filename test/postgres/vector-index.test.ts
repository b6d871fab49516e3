import { sql } from 'kysely'
import { expect, test } from 'vitest'
import type { VectorIndex, VectorSpace } from '../../src/engine/vector-index.ts'
import { bruteForce, clustered, cosine } from '../unit/vector-world.ts'
import { contractDimensions, testVectorIndex } from '../vector-index-contract.ts'
import { openVectorRows, type VectorRowsWorld } from './vector-rows-world.ts'

testVectorIndex((options = { maxWaiting: 64 }) =>
  openVectorRows({ name: 'contract', dimensions: contractDimensions, ...options }),
)

const never = new AbortController().signal
const dimensions = 16
const count = 3000
const vectors = new Map(clustered(count + 60, dimensions, 3).map((vector, id) => [id, vector]))
const stored = new Map([...vectors].slice(0, count))
const queries = [...vectors.values()].slice(count)

/** A space of 3,000 vectors, where 1,000 are enough for a graph. */
async function openLarge(name: string, options: Readonly<{ mostCompared?: number }> = {}) {
  const world = await openVectorRows({ name, dimensions, graphNumbers: 1000 * dimensions, ...options })
  await world.write(world.space, stored)
  return world
}

const methodOf = async (index: VectorIndex, space: VectorSpace) => (await index.statistics(space, never)).method
const waitFor = (index: VectorIndex, space: VectorSpace, method: 'hnsw' | 'exact') =>
  expect.poll(() => methodOf(index, space), { timeout: 20_000, interval: 100 }).toBe(method)

async function graphsIn({ db }: VectorRowsWorld): Promise<number> {
  const { rows } = await sql`select 1 from pg_indexes where tablename = 'vectors' and indexdef like '%hnsw%'`.execute(db)
  return rows.length
}

async function recallOf(
  { index, space }: VectorRowsWorld,
  withinOf: (query: Float32Array) => readonly number[] | undefined,
): Promise<number> {
  let found = 0
  for (const vector of queries) {
    const within = withinOf(vector)
    const query = { vector, k: 10, ...(within === undefined ? {} : { within }) }
    const truth = bruteForce(stored, query).map(({ id }) => id)
    const hits = (await index.search(space, query, never)).map(({ id }) => id)
    found += truth.filter((id) => hits.includes(id)).length / truth.length
  }
  return found / queries.length
}

test('a large space gets a graph in the background, which finds what comparing all does, and what is written later', async () => {
  const world = await openLarge('large')
  const { index, space, db } = world
  expect(await methodOf(index, space)).toBe('exact')
  expect(await recallOf(world, () => undefined)).toBe(1)
  await waitFor(index, space, 'hnsw')
  expect(await index.statistics(space, never)).toMatchObject({
    vectors: count,
    memoryBytes: expect.toSatisfy((bytes) => bytes > 0),
  })
  expect(await recallOf(world, () => undefined)).toBeGreaterThanOrEqual(0.99)
  await expect
    .poll(async () => {
      const { rows } = await sql<{ scans: number }>`
        select pg_stat_force_next_flush(), idx_scan as scans from pg_stat_user_indexes
        where indexrelname like 'vectors_graph%'`.execute(db)
      return rows[0]?.scans
    })
    .toBeGreaterThanOrEqual(queries.length)
  const [late = new Float32Array()] = queries
  await world.write(space, new Map([[count, late]]))
  expect(await index.search(space, { vector: late, k: 1 }, never)).toMatchObject([{ id: count, score: expect.closeTo(1, 6) }])
  await world.erase(space, [count])
  expect((await index.search(space, { vector: late, k: 1 }, never))[0]?.id).not.toBe(count)
  await world.close()
})

/** How many vectors wait outside of the graph. */
async function countWaiting({ db }: VectorRowsWorld): Promise<number> {
  const { rows } = await sql<{ count: number }>`select count(*) as count from vectors where awaits_graph`.execute(db)
  return rows[0]?.count ?? 0
}

test('what is added to a large space waits outside of its graph, is found at once, and is taken in afterwards', async () => {
  const world = await openLarge('waiting', { mostCompared: 100 })
  const { index, space } = world
  await waitFor(index, space, 'hnsw')
  expect(await countWaiting(world)).toBe(0)
  const added = new Map(queries.map((vector, place) => [10_000 + place, vector]))
  await world.write(space, added)
  expect(await countWaiting(world)).toBe(added.size)
  const findsAll = async (within?: readonly number[]) => {
    for (const [id, vector] of added) {
      const [hit] = await index.search(space, { vector, k: 1, ...(within === undefined ? {} : { within }) }, never)
      expect(hit?.id).toBe(id)
    }
  }
  await findsAll()
  const [first = new Float32Array(dimensions)] = added.values()
  await index.add(space, { ids: [10_000], vectors: [first] })
  await expect.poll(() => countWaiting(world), { timeout: 10_000 }).toBe(0)
  await findsAll()
  await findsAll([...stored.keys(), ...added.keys()])
  await world.close()
})

test('what waited when a process died is taken in by the next one', async () => {
  const world = await openLarge('left-waiting')
  await waitFor(world.index, world.space, 'hnsw')
  await world.write(world.space, new Map([[10_000, queries[0] ?? new Float32Array(dimensions)]]))
  expect(await countWaiting(world)).toBe(1)
  const next = world.openIndex()
  try {
    await expect.poll(() => countWaiting(world), { timeout: 10_000 }).toBe(0)
  } finally {
    await next.close()
    await world.close()
  }
})

test('filters lose nothing, whether many pass or only those that are far from the query', async () => {
  const limits = { graphNumbers: 1000 * dimensions, mostCompared: 0 }
  const world = await openVectorRows({ name: 'filters', dimensions, ...limits })
  await world.write(world.space, stored)
  await methodOf(world.index, world.space)
  await waitFor(world.index, world.space, 'hnsw')
  const every = [...stored.keys()]
  expect(await recallOf(world, () => every.filter((id) => id % 2 === 0))).toBeGreaterThanOrEqual(0.99)
  expect(await recallOf(world, () => every.filter((id) => id % 100 === 0))).toBeGreaterThanOrEqual(0.99)
  const farther = (query: Float32Array) => every.filter((id) => cosine(query, stored.get(id) ?? query) < 0)
  expect(await recallOf(world, farther)).toBeGreaterThanOrEqual(0.99)
  await world.close()
})

test('a graph goes when the space has become small, and when its collection has gone', async () => {
  const world = await openLarge('small')
  const { index, space, db } = world
  await methodOf(index, space)
  await waitFor(index, space, 'hnsw')
  await world.erase(
    space,
    [...stored.keys()].filter((id) => id >= 400),
  )
  await waitFor(index, space, 'exact')
  expect(await graphsIn(world)).toBe(0)
  await world.write(space, stored)
  await waitFor(index, space, 'hnsw')
  await db.deleteFrom('collections').where('id', '=', 'one').execute()
  await index.drop(space)
  await expect.poll(() => graphsIn(world), { timeout: 10_000 }).toBe(0)
  await world.close()
})

test('two processes make one graph, and one that was broken off is made again', async () => {
  const world = await openLarge('two')
  const { index, openIndex, space, db } = world
  const broken = openIndex()
  // Nothing is indexed as long as somebody may still see other rows.
  const held = Promise.withResolvers<void>()
  const seen = Promise.withResolvers<void>()
  const holding = db
    .transaction()
    .setIsolationLevel('repeatable read')
    .setAccessMode('read only')
    .execute(async (transaction) => {
      await sql`select 1 from vectors limit 1`.execute(transaction)
      seen.resolve()
      await held.promise
    })
  await seen.promise
  await methodOf(broken, space)
  await expect.poll(() => graphsIn(world), { timeout: 10_000 }).toBe(1)
  await broken.close()
  held.resolve()
  await holding
  const others = [index, openIndex(), openIndex()]
  await Promise.all(others.map((one) => methodOf(one, space)))
  for (const one of others) await waitFor(one, space, 'hnsw')
  expect(await graphsIn(world)).toBe(1)
  for (const one of others) await one.close()
  await world.close()
})
