import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sql } from 'kysely'
import { findAlongGraph, findExactly } from '../../src/embed/postgres-nearest.ts'
import { createPostgresVectorIndex } from '../../src/embed/postgres-vector-index.ts'
import { insertVectors, spaceOf } from '../../src/embed/vector-rows.ts'
import type { VectorBatch, VectorHit, VectorIndex } from '../../src/engine/vector-index.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import type { Database } from '../../src/storage/tables.ts'
import { startPostgres } from '../../test/postgres/server.ts'
import { describeMachine, formatAbout } from '../machine.ts'
import { percentile } from '../statistics.ts'
import { createRandom, writeVectors } from './data.ts'
import { type Data, openProcess, readPieces, waitForGraph } from './ours.ts'

// Measures the vectors of collections in PostgreSQL beside the index that stands beside SQLite, over the same vectors, one query at a time:
//   node bench/vectors/postgres.ts [--data FILE] [--vectors N] [--dimensions N] [--queries N] [--database URL]
// --data names raw 32-bit floats as for main.ts (sentences.ts writes some), whose last ones are the queries;
// without it vectors are made. Without a URL it starts PostgreSQL.

const k = 10
const never = new AbortController().signal
const { values } = parseArgs({
  options: {
    vectors: { type: 'string', default: '100000' },
    dimensions: { type: 'string', default: '384' },
    queries: { type: 'string', default: '100' },
    database: { type: 'string' },
    data: { type: 'string' },
  },
})
let count = Number(values.vectors)
const dimensions = Number(values.dimensions)
const space = spaceOf({ id: 'bench', model: 'made', dimensions })

type Search = (vector: Float32Array) => Promise<readonly VectorHit[]>
type Truth = ReadonlyArray<readonly VectorHit[]>

async function main(db: Database, data: Data): Promise<void> {
  const inserted = await timed(() => fill(db, data))
  await sql`analyze`.execute(db)
  const truth = await findTruth(data, (vector) => findExactly(db, space, { vector, k }))
  console.log(`rows written in ${inserted.toFixed(0)} s`)
  console.log('| | p10 ms | p50 ms | recall@10 |')
  await measure('PostgreSQL, exact', data, truth, (vector) => findExactly(db, space, { vector, k }))

  const index = createPostgresVectorIndex({ db, now: Date.now, maxWaiting: 10, lookAgainMs: 1000, graphNumbers: 0 })
  const built = await timed(() => untilGraph(() => index.statistics(space, never)))
  const { memoryBytes } = await index.statistics(space, never)
  const { rows } = await sql<{ note: string }>`
    select obj_description(indexrelid, 'pg_class') as note from pg_index
    where indrelid = 'vectors'::regclass and obj_description(indexrelid, 'pg_class') is not null`.execute(db)
  console.log(`graph made and measured in ${built.toFixed(0)} s (${rows[0]?.note}), ${(memoryBytes / 1e6).toFixed(0)} MB`)
  await measure('PostgreSQL, graph', data, truth, (vector) => index.search(space, { vector, k }, never))
  await measureBreadths(db, data, truth)
  await measureFilters(db, data, index)
  for (const size of batchSizes) await measureTurn(db, data, size)
  await index.close()

  for (const method of ['exact', 'hnsw'] as const) {
    const { index: beside, loadSeconds } = await openProcess(data, method, () => readNumbered(data))
    const graphSeconds = method === 'hnsw' ? (await waitForGraph(beside, data)).seconds : 0
    console.log(`in its own process: read in ${loadSeconds.toFixed(0)} s, graph in ${graphSeconds.toFixed(0)} s`)
    const there = { key: 'bench', dimensions }
    await measure(`in its own process, ${method}`, data, truth, (vector) => beside.search(there, { vector, k }, never))
    await beside.close()
  }
}

async function measureBreadths(db: Database, data: Data, truth: Truth): Promise<void> {
  for (const breadth of [40, 80, 160, 320]) {
    const search: Search = async (vector) => (await findAlongGraph(db, space, { vector, k }, { breadth, vectors: count })) ?? []
    await measure(`PostgreSQL, graph, ${breadth} candidates`, data, truth, search)
  }
}

/** Texts of a short document, of a long one, and of the largest request. */
const batchSizes = [64, 512, 2048]

/** How long a batch that is added keeps the turn to write, and how long the graph takes beside it. Its vectors are those of others, blended: no two are the same. */
async function measureTurn(db: Database, { vectors }: Data, size: number): Promise<void> {
  const { rows } = await sql<{ last: number }>`select max(id) as last from passages`.execute(db)
  const first = (rows[0]?.last ?? 0) + 1
  const ids = Array.from({ length: size }, (_, place) => first + place)
  const added = ids.map((id) => {
    const sum = Float32Array.from({ length: dimensions }, (_, part) => {
      const at = (place: number) => vectors[((id * place) % count) * dimensions + part] ?? 0
      return at(7) + 0.5 * at(13)
    })
    const length = Math.hypot(...sum)
    return sum.map((value) => value / length)
  })
  const seconds = await timed(() =>
    db.transaction().execute(async (transaction) => {
      await sql`insert into passages (id, collection_id, item_id, position, text, metadata, created_at)
        select id, 'bench', id::text, 0, 'passage ' || id, '{}', '' from generate_series(${first}::bigint, ${first + size - 1}::bigint) as id`.execute(
        transaction,
      )
      await insertVectors(transaction, 'made', ids, added)
    }),
  )
  const taking = await timed(() => sql`update vectors set awaits_graph = false where awaits_graph`.execute(db))
  console.log(
    `${size} added keep the turn for ${seconds.toFixed(2)} s; the graph takes them in in ${taking.toFixed(2)} s, outside of it`,
  )
}

async function measureFilters(db: Database, data: Data, index: VectorIndex): Promise<void> {
  const some = { ...data, queries: data.queries.slice(0, 20) }
  for (const share of [0.5, 0.05]) {
    const random = createRandom(share * 1000)
    const within = Array.from({ length: count }, (_, id) => id + 1).filter(() => random() < share)
    const truth = await findTruth(some, (vector) => findExactly(db, space, { vector, k, within }))
    await measure(`PostgreSQL, ${share * 100} % pass`, some, truth, (vector) => index.search(space, { vector, k, within }, never))
  }
}

async function findTruth({ queries }: Data, search: Search): Promise<Truth> {
  const truth: VectorHit[][] = []
  for (const vector of queries) truth.push([...(await search(vector))])
  return truth
}

/** Tells the line of a table. */
async function measure(name: string, { queries }: Data, truth: Truth, search: Search): Promise<void> {
  const milliseconds: number[] = []
  let recall = 0
  for (const [at, vector] of queries.entries()) {
    const startedAt = performance.now()
    const hits = await search(vector)
    milliseconds.push(performance.now() - startedAt)
    const right = new Set((truth[at] ?? []).map(({ id }) => id))
    recall += hits.filter(({ id }) => right.has(id)).length / right.size / queries.length
  }
  const [quick, usual] = [10, 50].map((share) => percentile(milliseconds, share).toFixed(2))
  console.log(`| ${name} | ${quick} | ${usual} | ${recall.toFixed(4)} |`)
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now()
  await work()
  return (performance.now() - startedAt) / 1000
}

async function untilGraph(ask: () => Promise<Readonly<{ method: string }>>): Promise<void> {
  while ((await ask()).method !== 'hnsw') await new Promise((resolve) => setTimeout(resolve, 500))
}

/** Passages that are nothing but their number, which is one more than the place of their vector. */
async function fill(db: Database, data: Data): Promise<void> {
  await sql`insert into collections (id, name, model, dimensions, created_at, updated_at)
    values ('bench', 'bench', 'made', ${dimensions}, '', '')`.execute(db)
  await sql`insert into passages (id, collection_id, item_id, position, text, metadata, created_at)
    select id, 'bench', id::text, 0, 'passage ' || id, '{}', '' from generate_series(1, ${count}::bigint) as id`.execute(db)
  for await (const { ids, vectors } of readNumbered(data)) await insertVectors(db, 'made', ids, vectors)
}

async function* readNumbered(data: Data): AsyncGenerator<VectorBatch> {
  for await (const { ids, vectors } of readPieces(data)) yield { ids: ids.map((id) => id + 1), vectors }
}

async function readData(file: string): Promise<Data> {
  const all = new Float32Array(new Uint8Array(await readFile(file)).buffer)
  const queries = Number(values.queries)
  count = all.length / dimensions - queries
  const vectorAt = (place: number) => all.slice(place * dimensions, (place + 1) * dimensions)
  return {
    dimensions,
    vectors: all.slice(0, count * dimensions),
    queries: Array.from({ length: queries }, (_, place) => vectorAt(count + place)),
  }
}

async function makeData(): Promise<Data> {
  if (values.data !== undefined) return readData(values.data)
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-vectors-'))
  try {
    const file = join(folder, 'vectors.f32')
    const queries = Number(values.queries)
    await writeVectors(file, count + queries, dimensions)
    const all = new Float32Array(new Uint8Array(await readFile(file)).buffer)
    const vectorAt = (place: number) => all.slice(place * dimensions, (place + 1) * dimensions)
    return {
      dimensions,
      vectors: all.slice(0, count * dimensions),
      queries: Array.from({ length: queries }, (_, place) => vectorAt(count + place)),
    }
  } finally {
    await rm(folder, { recursive: true })
  }
}

console.log(formatAbout({ version: 'vectors', node: process.version, machine: describeMachine(), date: new Date() }))
const server = values.database === undefined ? await startPostgres(['shared_buffers=1GB']) : undefined
try {
  const { db, close } = await openStorage({ url: values.database ?? server?.url ?? '' })
  await main(db, await makeData())
  await close()
} finally {
  await server?.[Symbol.asyncDispose]()
}
