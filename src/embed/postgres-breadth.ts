import { sql } from 'kysely'
import type { VectorSpace } from '../engine/vector-index.ts'
import type { Database } from '../storage/tables.ts'
import { findAlongGraph, findExactly, inSpace } from './postgres-nearest.ts'
import { toVector } from './vector-rows.ts'

const sampleSize = 100
const hitsPerQuery = 10
const leastRecall = 0.99
/** Candidates of a search along the graph, from few to many; pgvector takes no more. */
const breadths = [40, 60, 80, 120, 160, 240, 320, 480, 640, 1000] as const
/** How much of an unrelated vector a query has beside a sampled one. */
const blendedShare = 0.5

type Question = Readonly<{ vector: Float32Array; truth: ReadonlySet<number> }>

/**
 * How broadly the graph must be searched to find 99 % of the true nearest, even when the recall is two standard errors lower than what is
 * measured; undefined where no breadth is enough. Vectors of the graph are found too easily, as they lead to their own neighbours: each
 * query is blended of two that have nothing to do with each other, which is as hard as vectors that are not in the graph (docs/vectors.md).
 */
export async function measureBreadth(
  db: Database,
  space: VectorSpace,
  vectors: number,
  signal: AbortSignal,
): Promise<number | undefined> {
  const questions: Question[] = []
  const sample = await readSample(db, space)
  for (const [index, one] of sample.entries()) {
    signal.throwIfAborted()
    const vector = blend(one, sample[(index + 1) % sample.length] ?? one)
    const nearest = await findExactly(db, space, { vector, k: hitsPerQuery })
    questions.push({ vector, truth: new Set(nearest.map(({ id }) => id)) })
  }
  const wanted = questions.reduce((sum, { truth }) => sum + truth.size, 0)
  for (const breadth of breadths) {
    let found = 0
    for (const { vector, truth } of questions) {
      signal.throwIfAborted()
      const hits = await findAlongGraph(db, space, { vector, k: hitsPerQuery }, { breadth, vectors })
      found += hits?.filter(({ id }) => truth.has(id)).length ?? 0
    }
    const recall = found / wanted
    if (recall - 2 * Math.sqrt((recall * (1 - recall)) / wanted) >= leastRecall) return breadth
  }
  return undefined
}

async function readSample(db: Database, space: VectorSpace): Promise<readonly Float32Array[]> {
  const { rows } = await sql<{ vector: string }>`
    select vector from vectors where ${inSpace(space)} and passage_id in (
      select passage_id from vectors where ${inSpace(space)} order by random() limit ${sampleSize})`.execute(db)
  return rows.map(({ vector }) => toVector(vector))
}

function blend(vector: Float32Array, other: Float32Array): Float32Array {
  const sum = vector.map((value, index) => value + blendedShare * (other[index] ?? 0))
  const length = Math.sqrt(sum.reduce((all, value) => all + value * value, 0))
  return sum.map((value) => value / length)
}
