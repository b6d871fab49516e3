import { unlessAborted } from '../engine/local/unless-aborted.ts'
import { checkIds, checkVector, cutBatch } from '../engine/local/vector-pieces.ts'
import type { VectorHit, VectorIndex, VectorQuery, VectorSpace } from '../engine/vector-index.ts'
import { AppError } from '../errors.ts'
import type { Database } from '../storage/tables.ts'
import { createVectorGraphs, type Graph } from './postgres-graphs.ts'
import { findAlongGraph, findExactly } from './postgres-nearest.ts'
import { countVectors } from './vector-rows.ts'

export type PostgresVectorIndexParts = Readonly<{
  db: Database
  now: () => number
  /** Searches at once; more are refused. */
  maxWaiting: number
  /** From so many numbers (vectors times dimensions) on, a graph answers; below half of it no more. */
  graphNumbers?: number
  /** As long as a filter lets through no more vectors, they are compared one by one. */
  mostCompared?: number
  /** How long what is known of the graph of a space is taken for true. */
  lookAgainMs?: number
}>

/** Comparing so many takes PostgreSQL about 10 ms (docs/vectors.md), about as long as the vector of the query takes to make. */
const usualGraphNumbers = 8_000_000
const usualLookAgainMs = 30_000
/** What is known of more spaces than this is forgotten. */
const mostSpaces = 10_000
const usualMostCompared = 20_000

/**
 * Finds vectors where they are kept, in PostgreSQL. The rows are the truth and the index at once: what is committed is found, in all
 * processes, and nothing is to be told. A large space gets a graph (HNSW) in the background; until it is there, and where it finds less than
 * is wanted, all vectors are compared.
 */
export function createPostgresVectorIndex(parts: PostgresVectorIndexParts): VectorIndex {
  const { db, now, maxWaiting, graphNumbers = usualGraphNumbers, lookAgainMs = usualLookAgainMs } = parts
  const { mostCompared = usualMostCompared } = parts
  const graphs = createVectorGraphs({ db, now, graphNumbers })
  const known = new Map<string, Readonly<{ graph: Graph | undefined; until: number }>>()
  let waiting = 0
  let isClosed = false
  graphs.tend()

  /** The graph of a space. Whether it should have one, or have none, is seen to in the background. */
  async function graphOf(space: VectorSpace): Promise<Graph | undefined> {
    const seen = known.get(space.key)
    if (seen !== undefined && now() < seen.until) return seen.graph
    const graph = await graphs.find(space)
    const from = graphs.wantedFrom(space)
    const isLarge = Number.isFinite(from) && (await graphs.hasVectors(space, graph === undefined ? from : Math.ceil(from / 2)))
    if (isLarge !== (graph !== undefined)) graphs.tend(space)
    if (known.size >= mostSpaces) known.clear()
    known.set(space.key, { graph, until: now() + lookAgainMs })
    return graph
  }

  async function find(space: VectorSpace, query: VectorQuery): Promise<readonly VectorHit[]> {
    const { within } = query
    const { breadth } = (await graphOf(space)) ?? {}
    if (breadth === undefined || (within !== undefined && within.length <= mostCompared)) return findExactly(db, space, query)
    return (await findAlongGraph(db, space, query, breadth)) ?? findExactly(db, space, query)
  }

  async function letIn<T>(work: () => Promise<T>, signal: AbortSignal): Promise<T> {
    if (isClosed) throw new AppError('unavailable', 'The service is shutting down.')
    if (waiting >= maxWaiting)
      throw new AppError('busy', `${maxWaiting} searches wait already. Try again shortly.`, { retryAfterSeconds: 1 })
    waiting += 1
    const done = work().finally(() => {
      waiting -= 1
    })
    return unlessAborted(done, signal)
  }

  return {
    async search(space, query, signal) {
      checkQuery(space, query)
      return letIn(() => find(space, query), signal)
    },
    statistics: (space, signal) =>
      letIn(async () => {
        const vectors = await countVectors(db, space)
        const graph = await graphOf(space)
        const method = graph?.breadth === undefined ? 'exact' : 'hnsw'
        return { vectors, dimensions: space.dimensions, method, memoryBytes: graph?.bytes ?? 0 }
      }, signal),
    async add(space, batch) {
      cutBatch(space, batch)
      graphs.settle(space)
    },
    async remove(_space, ids) {
      checkIds(ids)
    },
    async drop({ key }) {
      known.delete(key)
      graphs.tend()
    },
    async close() {
      isClosed = true
      await graphs.close()
    },
  }
}

function checkQuery({ dimensions }: VectorSpace, { vector, k, within }: VectorQuery): void {
  checkVector(vector, dimensions, 'The vector that is searched for')
  if (!Number.isSafeInteger(k) || k < 1) throw new AppError('invalid', `k must be a whole number from 1, but is ${k}.`)
  if (within !== undefined) checkIds(within)
}
