import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { sql } from 'kysely'
import { findAlongGraph, findExactly } from '../../src/embed/postgres-nearest.ts'
import { createPostgresVectorIndex } from '../../src/embed/postgres-vector-index.ts'
import { insertVectors, spaceOf } from '../../src/embed/vector-rows.ts'
import type { VectorHit } from '../../src/engine/vector-index.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import type { Database } from '../../src/storage/tables.ts'
import { startPostgres } from '../../test/postgres/server.ts'
import { describeMachine, formatAbout } from '../machine.ts'
import { percentile } from '../statistics.ts'
import { createRandom, writeVectors } from './data.ts'
import { type Data, openProcess, readPieces, waitForGraph } from './ours.ts'

// Measures the vectors of collections in PostgreSQL beside the index that stands beside SQLite, over the same made vectors, one query at a
// time: node bench/vectors/postgres.ts [--vectors N] [--dimensions N] [--queries N] [--database URL]. Without a URL it starts PostgreSQL.

const k = 10
const never = new AbortController().signal
const { values } = parseArgs({
  options: {
    vectors: { type: 'string', default: '100000' },
    dimensions: { type: 'string', default: '384' },
    queries: { type: 'string', default: '100' },
    database: { type: 'string' },
  },
})
const count = Number(values.vectors)
const dimensions = Number(values.dimensions)
const space = spaceOf({ id: 'bench', model: 'made', dimensions })

type Line = Readonly<{ name: string; p50: number; recall: number }>
type Search = (vector: Float32Array, at: number) => Promise<readonly VectorHit[]>

async function main(db: Database, data: Data): Promise<void> {
  const inserted = await timed(() => fill(db, data))
  await sql`analyze`.execute(db)
  const truth = await Promise.all(data.queries.map((vector) => findExactly(db, space, { vector, k })))
  const lines: Line[] = [await measure('PostgreSQL exact', data, truth, (vector) => findExactly(db, space, { vector, k }))]

  const index = createPostgresVectorIndex({ db, now: Date.now, maxWaiting: 10, lookAgainMs: 1000 })
  const built = await timed(() => untilGraph(() => index.statistics(space, never)))
  const { memoryBytes } = await index.statistics(space, never)
  const { rows } = await sql<{ note: string }>`
    select obj_description(indexrelid, 'pg_class') as note from pg_index
    where indrelid = 'vectors'::regclass and obj_description(indexrelid, 'pg_class') is not null`.execute(db)
  lines.push(
    await measure('PostgreSQL graph', data, truth, (vector) => index.search(space, { vector, k }, never)),
    ...(await measureBreadths(db, data, truth)),
    ...(await measureFilters(db, data, index.search)),
  )
  await index.close()

  for (const method of ['exact', 'hnsw'] as const) {
    const ours = await openProcess(data, method, () => readPieces(data))
    if (method === 'hnsw') await waitForGraph(ours.index, data)
    const beside = { key: 'bench', dimensions }
    lines.push(
      await measure(`Its own process, ${method}`, data, truth, (vector) => ours.index.search(beside, { vector, k }, never)),
    )
    await ours.index.close()
  }
  for (const { name, p50, recall } of lines) console.log(`| ${name} | ${p50.toFixed(2)} | ${recall.toFixed(4)} |`)
  console.log(
    `rows ${inserted.toFixed(0)} s, graph ${built.toFixed(0)} s (${rows[0]?.note}), ${(memoryBytes / 1e6).toFixed(0)} MB`,
  )
}

const measureBreadths = async (db: Database, data: Data, truth: readonly (readonly VectorHit[])[]) => {
  const lines: Line[] = []
  for (const breadth of [40, 80, 160, 320])
    lines.push(
      await measure(`PostgreSQL graph, ${breadth} candidates`, data, truth, (vector) =>
        findAlongGraph(db, space, { vector, k, breadth }),
      ),
    )
  return lines
}

async function measureFilters(
  db: Database,
  data: Data,
  search: ReturnType<typeof createPostgresVectorIndex>['search'],
): Promise<readonly Line[]> {
  const some = { ...data, queries: data.queries.slice(0, 20) }
  const lines: Line[] = []
  for (const share of [0.5, 0.05]) {
    const random = createRandom(share * 1000)
    const within = Array.from({ length: count }, (_, id) => id + 1).filter(() => random() < share)
    const truth = await Promise.all(some.queries.map((vector) => findExactly(db, space, { vector, k, within })))
    lines.push(
      await measure(`PostgreSQL, ${share * 100} % pass`, some, truth, (vector) => search(space, { vector, k, within }, never)),
    )
  }
  return lines
}

async function measure(name: string, data: Data, truth: readonly (readonly VectorHit[])[], search: Search): Promise<Line> {
  const milliseconds: number[] = []
  let found = 0
  for (const [at, vector] of data.queries.entries()) {
    const startedAt = performance.now()
    const hits = await search(vector, at)
    milliseconds.push(performance.now() - startedAt)
    const right = new Set((truth[at] ?? []).map(({ id }) => id))
    found += hits.filter(({ id }) => right.has(name.startsWith('Its') ? id + 1 : id)).length / Math.max(1, right.size)
  }
  return { name, p50: percentile(milliseconds, 50), recall: found / data.queries.length }
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
  for await (const { ids, vectors } of readPieces(data))
    await insertVectors(
      db,
      'made',
      ids.map((id) => id + 1),
      vectors,
    )
}

async function makeData(): Promise<Data> {
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
