import { type RawBuilder, sql } from 'kysely'
import type { VectorHit, VectorSpace } from '../engine/vector-index.ts'
import type { Database } from '../storage/tables.ts'
import { readKey, toVectorText } from './vector-rows.ts'

export type NearestQuery = Readonly<{ vector: Float32Array; k: number; within?: readonly number[] | undefined }>

/** More candidates than hits are compared in full, as the graph holds vectors in half precision. */
const candidatesPerHit = 2
/** Candidates that pgvector looks for at most before it goes on iteratively. */
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

/**
 * Goes along the graph with `breadth` candidates, and on until enough of them pass `within` or pgvector gives up: then there are fewer
 * hits than wanted. Where the graph has gone meanwhile, all vectors are compared.
 */
export async function findAlongGraph(
  db: Database,
  space: VectorSpace,
  { breadth, ...query }: NearestQuery & Readonly<{ breadth: number }>,
): Promise<readonly VectorHit[]> {
  const wanted = candidatesPerHit * query.k
  const candidates = String(Math.min(mostCandidates, Math.max(breadth, wanted)))
  const vector = toVectorText(query.vector)
  const half = sql.raw(`halfvec(${space.dimensions})`)
  return db
    .transaction()
    .setAccessMode('read only')
    .execute(async (transaction) => {
      await sql`
        select set_config('hnsw.ef_search', ${candidates}, true), set_config('hnsw.iterative_scan', 'relaxed_order', true)`.execute(
        transaction,
      )
      const { rows } = await sql<VectorHit>`
        select id, 1 - (vector <=> ${vector}::vector) as score from (
          select passage_id as id, vector from vectors where ${inSpace(space)} ${among(query)}
          order by vector::${half} <=> ${vector}::${half} limit ${wanted}
        ) as candidates
        order by vector <=> ${vector}::vector, id limit ${query.k}`.execute(transaction)
      return rows
    })
}

function among({ within }: NearestQuery): RawBuilder<unknown> {
  return within === undefined ? sql`` : sql`and passage_id = any(${`{${within.join(',')}}`}::bigint[])`
}
