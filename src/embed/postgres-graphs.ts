import { createHash } from 'node:crypto'
import { sql } from 'kysely'
import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import type { VectorSpace } from '../engine/vector-index.ts'
import { graphPrefix } from '../storage/postgres-passages.ts'
import { escapeNul } from '../storage/postgres-text.ts'
import type { Database } from '../storage/tables.ts'
import { measureBreadth } from './postgres-breadth.ts'
import { type GraphBreadth, inSpace, mostGraphDimensions } from './postgres-nearest.ts'
import { createSettling, listWaiting } from './postgres-waiting.ts'
import { readKey, spaceOf } from './vector-rows.ts'

/** Of pgvector's HNSW: the neighbours of a node, and the candidates among which they are chosen. */
const neighbours = 16
const constructionBreadth = 128
/** All processes take turns at making graphs, by an advisory lock of this number. */
const makersLock = 7_346_587_002
/** What a graph takes in memory while it is made, for each vector beside its numbers; and what is given to it. */
const bytesPerNode = 1100
const leastMemoryMegabytes = 64
const mostMemoryMegabytes = 1024
/** After a failure (no room, no right to) nothing is tried for so long. */
const restMs = 10 * 60_000

/** A graph that can be asked, and how broadly: undefined where no breadth is enough. */
export type Graph = Readonly<{ breadth: GraphBreadth | undefined; bytes: number }>

/** The graphs of spaces that are large enough for one: HNSW indexes of pgvector, each over the vectors of one space. */
export interface VectorGraphs {
  /** Undefined where there is none, or none that is ready. */
  find(space: VectorSpace): Promise<Graph | undefined>
  hasVectors(space: VectorSpace, count: number): Promise<boolean>
  /** From so many vectors on there is a graph; below half of it none. */
  wantedFrom(space: VectorSpace): number
  /** In the background: makes the graph of the space, or drops it, and drops those that nobody needs any more. */
  tend(space?: VectorSpace): void
  /** In the background: takes into the graph of the space what waits outside of it, a few vectors at a time. */
  settle(space: VectorSpace): void
  /** Ends what is being made. */
  close(): Promise<void>
}

export type VectorGraphsParts = Readonly<{ db: Database; now: () => number; graphNumbers: number }>

/** `vectors`: as many as there were when it was measured. */
const note = Type.Object({ breadth: Type.Union([Type.Integer(), Type.Null()]), vectors: Type.Integer() })

type Maker = { readonly pid: number }

export function createVectorGraphs({ db, now, graphNumbers }: VectorGraphsParts): VectorGraphs {
  const settling = createSettling(db)
  const waiting = new Set<string>()
  let last: Promise<void> = Promise.resolve()
  const closing = new AbortController()
  let restsUntil = 0
  let maker: Maker | undefined

  const wantedFrom = ({ dimensions }: VectorSpace) =>
    dimensions > mostGraphDimensions ? Number.POSITIVE_INFINITY : Math.ceil(graphNumbers / dimensions)

  async function work(space: VectorSpace | undefined): Promise<void> {
    if (closing.signal.aborted || now() < restsUntil) return
    if (space === undefined && (await listGraphs(db)).length === 0) return
    await db.connection().execute(async (connection) => {
      const begun = await beginMaking(connection)
      // Otherwise another process is at it, which sweeps at its end; the space is asked for again with a later search.
      if (begun === undefined) return
      maker = begun
      try {
        await sweep(connection)
        if (space !== undefined) await arrange(connection, space)
        await sweep(connection)
        // What those have left that have died.
        if (space === undefined) for (const one of await listWaiting(connection)) settling.begin(one)
        else settling.begin(space)
      } finally {
        maker = undefined
        await begun.end()
      }
    })
  }

  /** Makes or drops the graph of one space, whichever its size asks for. */
  async function arrange(connection: Database, space: VectorSpace): Promise<void> {
    const from = wantedFrom(space)
    const vectors = await countUpTo(connection, space, Number.isFinite(from) ? 2 ** 31 : 1)
    const [graph] = await listGraphs(connection, nameOf(space))
    if (graph !== undefined && vectors < from / 2) return dropGraph(connection, nameOf(space))
    if (vectors < from || (graph !== undefined && graph.note !== null)) return
    closing.signal.throwIfAborted()
    // One that is there was not measured to the end.
    if (graph === undefined) await makeGraph(connection, space, vectors)
    const breadth = await measureBreadth(connection, space, vectors, closing.signal)
    await writeNote(connection, space, { breadth: breadth ?? null, vectors })
  }

  return {
    find: (space) => findGraph(db, space),
    hasVectors: async (space, count) => (await countUpTo(db, space, count)) >= count,
    wantedFrom,
    tend(space) {
      const key = space?.key ?? ''
      if (closing.signal.aborted || waiting.has(key)) return
      waiting.add(key)
      last = last
        .then(() => work(space))
        .catch(() => {
          restsUntil = now() + restMs
        })
        .finally(() => waiting.delete(key))
    },
    settle: settling.begin,
    async close() {
      closing.abort()
      await settling.close()
      if (maker !== undefined) await sql`select pg_cancel_backend(${maker.pid}::integer)`.execute(db).catch(() => {})
      await last
    },
  }
}

async function countUpTo(db: Database, space: VectorSpace, most: number): Promise<number> {
  const { rows } = await sql<{ count: number }>`
    select count(*) as count from (select 1 from vectors where ${inSpace(space)} limit ${most}) as held`.execute(db)
  return rows[0]?.count ?? 0
}

const nameOf = ({ key }: VectorSpace) => `${graphPrefix}${createHash('sha256').update(key).digest('hex').slice(0, 16)}`

type Listed = Readonly<{ name: string; isValid: boolean; note: string | null; bytes: number }>

async function listGraphs(db: Database, name = `${graphPrefix}%`): Promise<readonly Listed[]> {
  const { rows } = await sql<Listed>`
    select class.relname as name, index.indisvalid as is_valid, obj_description(class.oid, 'pg_class') as note,
      pg_relation_size(class.oid) as bytes
    from pg_index as index join pg_class as class on class.oid = index.indexrelid
    where index.indrelid = 'vectors'::regclass and class.relname like ${name}`.execute(db)
  return rows
}

/** One that is valid and measured. What was measured stands in a comment on the index, so it comes and goes with it. */
async function findGraph(db: Database, space: VectorSpace): Promise<Graph | undefined> {
  const [found] = await listGraphs(db, nameOf(space))
  if (found === undefined || !found.isValid || found.note === null) return undefined
  const read: unknown = JSON.parse(found.note)
  if (!Value.Check(note, read)) return undefined
  const { breadth, vectors } = read
  return { breadth: breadth === null ? undefined : { breadth, vectors }, bytes: found.bytes }
}

/** Undefined when another process is making graphs. */
async function beginMaking(connection: Database): Promise<(Maker & { end(): Promise<void> }) | undefined> {
  const { rows } = await sql<{ isFree: boolean; pid: number; lockTimeout: string }>`
    select pg_try_advisory_lock(${makersLock}::bigint) as is_free, pg_backend_pid() as pid,
      current_setting('lock_timeout') as lock_timeout`.execute(connection)
  const [begun] = rows
  if (begun?.isFree !== true) return undefined
  // It waits for every transaction that is open, however long it takes, and holds nobody up meanwhile.
  await sql`set lock_timeout = 0`.execute(connection)
  // One core is enough for what nobody waits for; and more would need memory that containers seldom share.
  await sql`set max_parallel_maintenance_workers = 0`.execute(connection)
  return {
    pid: begun.pid,
    async end() {
      await sql`
        select set_config('lock_timeout', ${begun.lockTimeout}, false), pg_advisory_unlock(${makersLock}::bigint)`.execute(
        connection,
      )
      await sql`reset max_parallel_maintenance_workers`.execute(connection)
      await sql`reset maintenance_work_mem`.execute(connection)
    },
  }
}

async function makeGraph(connection: Database, space: VectorSpace, vectors: number): Promise<void> {
  const { collectionId, model } = readKey(space)
  const { dimensions } = space
  const megabytes = Math.ceil((vectors * (2 * dimensions + bytesPerNode)) / 2 ** 20)
  const memory = Math.min(mostMemoryMegabytes, Math.max(leastMemoryMegabytes, megabytes))
  await sql`set maintenance_work_mem = ${sql.lit(`${memory}MB`)}`.execute(connection)
  await sql`
    create index concurrently ${sql.id(nameOf(space))} on vectors
    using hnsw ((vector::halfvec(${sql.lit(dimensions)})) halfvec_cosine_ops)
    with (m = ${sql.lit(neighbours)}, ef_construction = ${sql.lit(constructionBreadth)})
    where collection_id = ${sql.lit(collectionId)} and model = ${sql.lit(escapeNul(model))} and not awaits_graph`.execute(
    connection,
  )
}

async function writeNote(connection: Database, space: VectorSpace, content: Static<typeof note>): Promise<void> {
  await sql`comment on index ${sql.id(nameOf(space))} is ${sql.lit(JSON.stringify(content))}`.execute(connection)
}

async function dropGraph(connection: Database, name: string): Promise<void> {
  await sql`drop index concurrently if exists ${sql.id(name)}`.execute(connection)
}

/** Drops graphs of which the making was broken off, and those of spaces that no collection answers from or is on its way to. */
async function sweep(connection: Database): Promise<void> {
  const listed = await listGraphs(connection)
  if (listed.length === 0) return
  const collections = await connection.selectFrom('collections').select(['id', 'model', 'nextModel', 'dimensions']).execute()
  const wanted = new Set(
    collections.flatMap(({ nextModel, ...collection }) => [
      nameOf(spaceOf(collection)),
      ...(nextModel === null ? [] : [nameOf(spaceOf({ ...collection, model: nextModel }))]),
    ]),
  )
  for (const { name, isValid } of listed) if (!isValid || !wanted.has(name)) await dropGraph(connection, name)
}
