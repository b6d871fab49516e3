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
/** How far from a sampled vector the other one is of which a query is made. */
const blendedRank = 20

type Question = Readonly<{ vector: Float32Array; truth: ReadonlySet<number> }>

/**
 * How broadly the graph must be searched to find 99 % of the true nearest, even when the recall is two standard errors lower than what is
 * measured; undefined where no breadth is enough. Vectors of the graph would be found too easily, as they lead to their own neighbours, so
 * each query lies in the middle between two vectors that are near each other.
 */
export async function measureBreadth(db: Database, space: VectorSpace, signal: AbortSignal): Promise<number | undefined> {
  const questions: Question[] = []
  for (const vector of await readSample(db, space)) {
    signal.throwIfAborted()
    const asked = await blend(db, space, vector)
    const nearest = await findExactly(db, space, { vector: asked, k: hitsPerQuery })
    questions.push({ vector: asked, truth: new Set(nearest.map(({ id }) => id)) })
  }
  const wanted = questions.reduce((sum, { truth }) => sum + truth.size, 0)
  for (const breadth of breadths) {
    let found = 0
    for (const { vector, truth } of questions) {
      signal.throwIfAborted()
      const hits = await findAlongGraph(db, space, { vector, k: hitsPerQuery, breadth })
      found += hits.filter(({ id }) => truth.has(id)).length
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

async function blend(db: Database, space: VectorSpace, vector: Float32Array): Promise<Float32Array> {
  const hits = await findAlongGraph(db, space, { vector, k: blendedRank, breadth: 100 })
  const { rows } = await sql<{ vector: string }>`
    select vector from vectors where ${inSpace(space)} and passage_id = ${hits.at(-1)?.id ?? 0}`.execute(db)
  const other = toVector(rows[0]?.vector ?? '[]')
  const sum = vector.map((value, index) => value + (other[index] ?? 0))
  const length = Math.sqrt(sum.reduce((all, value) => all + value * value, 0))
  return sum.map((value) => value / length)
}
