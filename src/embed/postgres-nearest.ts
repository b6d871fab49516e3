import { type RawBuilder, sql } from 'kysely'
import type { VectorHit, VectorSpace } from '../engine/vector-index.ts'
import type { Database } from '../storage/tables.ts'
import { readKey, toVectorText } from './vector-rows.ts'

export type NearestQuery = Readonly<{ vector: Float32Array; k: number; within?: readonly number[] | undefined }>

/** More candidates than hits are compared in full, as the graph holds vectors in half precision. */
const candidatesPerHit = 2
/** Candidates that pgvector looks for at most at once. */
const mostCandidates = 1000
/** Above that pgvector makes no graph of vectors in half precision. */
export const mostGraphDimensions = 4000

/** The rows of a space. A query that says it so can use the index that is made of these rows alone. */
export function inSpace(space: VectorSpace): RawBuilder<unknown> {
  const { collectionId, model } = readKey(space)
  return sql`collection_id = ${collectionId} and model = ${model}`
}

/** Compares with every vector, and by its full precision: no graph is asked. */
export async function findExactly(db: Database, space: VectorSpace, query: NearestQuery): Promise<readonly VectorHit[]> {
  const { rows } = await sql<VectorHit>`
    select passage_id as id, 1 - (vector <=> ${toVectorText(query.vector)}::vector) as score from vectors
    where ${inSpace(space)} ${among(query)}
    order by vector <=> ${toVectorText(query.vector)}::vector, passage_id limit ${query.k}`.execute(db)
  return rows
}

/** How broadly a graph of so many vectors must be searched. */
export type GraphBreadth = Readonly<{ breadth: number; vectors: number }>

/**
 * Goes along the graph, for so many more candidates as `within` lets fewer through. Undefined where all should be compared: it would be too
 * many, or too few of them pass, as those that do are farther from the query than others. Where the graph has gone meanwhile, all are.
 */
export async function findAlongGraph(
  db: Database,
  space: VectorSpace,
  query: NearestQuery,
  { breadth, vectors }: GraphBreadth,
): Promise<readonly VectorHit[] | undefined> {
  const { k, within } = query
  const needed = candidatesPerHit * k
  const share = within === undefined ? 1 : within.length / vectors
  const wanted = within === undefined ? needed : Math.ceil(Math.max(breadth, 2 * needed) / share)
  if (within !== undefined && wanted > mostCandidates) return undefined
  const candidates = String(Math.min(mostCandidates, Math.max(breadth, wanted)))
  const vector = toVectorText(query.vector)
  const half = sql.raw(`halfvec(${space.dimensions})`)
  return db
    .transaction()
    .setAccessMode('read only')
    .execute(async (transaction) => {
      // Iterative: for more hits than can be looked for at once, and past rows that are deleted.
      await sql`
        select set_config('hnsw.ef_search', ${candidates}, true), set_config('hnsw.iterative_scan', 'relaxed_order', true)`.execute(
        transaction,
      )
      // What waits outside of the graph is compared one by one.
      const { rows } = await sql<VectorHit & { passing: number }>`
        select passage_id as id, 1 - (vector <=> ${vector}::vector) as score,
          count(*) filter (where in_graph) over () as passing from (
          (select passage_id, vector, true as in_graph from vectors where ${inSpace(space)} and not awaits_graph
          order by vector::${half} <=> ${vector}::${half} limit ${wanted})
          union all
          (select passage_id, vector, false as in_graph from vectors where ${inSpace(space)} and awaits_graph ${among(query)}
          order by vector <=> ${vector}::vector limit ${k})
        ) as candidates
        where true ${among(query)}
        order by vector <=> ${vector}::vector, passage_id limit ${k}`.execute(transaction)
      return (rows[0]?.passing ?? 0) < needed ? undefined : rows.map(({ id, score }) => ({ id, score }))
    })
}

function among({ within }: NearestQuery): RawBuilder<unknown> {
  return within === undefined ? sql`` : sql`and passage_id = any(${`{${within.join(',')}}`}::bigint[])`
}
