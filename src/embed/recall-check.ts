import type { Embedder } from '../engine/embedder.ts'
import type { ReadVectors, VectorIndex, VectorSpace } from '../engine/vector-index.ts'
import type { Database } from '../storage/tables.ts'
import { embeddedText } from './embedded-text.ts'

/** Passages that are searched for, and neighbours that are compared. */
const sampleSize = 32
const neighbours = 10
/** What half precision in the index may change of a cosine. */
const tolerance = 2e-3
/** A text that is made into a vector again must come out as it did: batches change the last digits only. */
const sameVector = 0.99

export type Recall = Readonly<{
  /** How many passages were searched for. */
  sample: number
  /** Share of the true nearest neighbours that the index finds. */
  neighbours: number
  /** Share of the passages that are found by their own text. */
  itself: number
}>

export type RecallParts = Readonly<{
  db: Database
  model: Embedder
  vectorIndex: Pick<VectorIndex, 'search'>
  readVectors: ReadVectors
}>

type Query = Readonly<{ id: number; vector: Float32Array }> & {
  /** Scores of the nearest, best first. */
  nearest: number[]
  /** The cosine with the passage's own vector. */
  itself: number
}

/**
 * Measures whether searches in a space can be trusted before anybody depends on it. The texts of a sample, spread over the collection, are
 * made into vectors once more and searched for in the index. They must find themselves, which shows that texts and vectors belong
 * together; and they must find what a comparison with every vector finds, which shows that the index does.
 */
export async function measureRecall(
  { db, model, vectorIndex, readVectors }: RecallParts,
  { collectionId, space }: Readonly<{ collectionId: string; space: VectorSpace }>,
  signal: AbortSignal,
): Promise<Recall> {
  const sample = await readSample(db, collectionId)
  if (sample.length === 0) return { sample: 0, neighbours: 1, itself: 1 }
  const texts = sample.map(({ text }) => text)
  const { vectors } = await model.encode({ texts, truncate: true, purpose: 'document' }, signal)
  const queries: Query[] = sample.flatMap(({ id }, index) => {
    const vector = vectors[index]
    return vector === undefined ? [] : [{ id, vector, nearest: [], itself: Number.NaN }]
  })
  for await (const { ids, vectors: others } of readVectors(space)) {
    signal.throwIfAborted()
    for (const query of queries) compare(query, ids, others)
  }
  let [found, wanted, themselves] = [0, 0, 0]
  for (const { id, vector, nearest, itself } of queries) {
    const hits = await vectorIndex.search(space, { vector, k: neighbours }, signal)
    const worst = (nearest.at(-1) ?? 1) - tolerance
    wanted += nearest.length
    found += hits.slice(0, nearest.length).filter(({ score }) => score >= worst).length
    // Among many equal texts it may be another one that is found.
    const isFound = hits.some((hit) => hit.id === id) || (hits.at(-1)?.score ?? -1) >= itself - tolerance
    if (itself >= sameVector && isFound) themselves += 1
  }
  return { sample: queries.length, neighbours: wanted === 0 ? 1 : found / wanted, itself: themselves / queries.length }
}

async function readSample(db: Database, collectionId: string): Promise<ReadonlyArray<Readonly<{ id: number; text: string }>>> {
  const passages = db.selectFrom('passages').where('collectionId', '=', collectionId)
  const { first, last } = await passages
    .select(({ fn }) => [fn.min('id').as('first'), fn.max('id').as('last')])
    .executeTakeFirstOrThrow()
  const found = new Map<number, string>()
  for (let index = 0; index < sampleSize && first !== null; index += 1) {
    const at = Math.floor(Number(first) + ((Number(last) - Number(first)) * index) / (sampleSize - 1))
    const row = await passages.select(['id', 'section', 'text']).where('id', '>=', at).orderBy('id').limit(1).executeTakeFirst()
    if (row !== undefined) found.set(row.id, embeddedText(row))
  }
  return [...found].map(([id, text]) => ({ id, text }))
}

function compare(query: Query, ids: readonly number[], others: readonly Float32Array[]): void {
  const { vector, nearest } = query
  for (const [index, other] of others.entries()) {
    let score = 0
    for (let place = 0; place < vector.length; place += 1) score += (vector[place] ?? 0) * (other[place] ?? 0)
    if (ids[index] === query.id) query.itself = score
    if (nearest.length === neighbours && score <= (nearest.at(-1) ?? -1)) continue
    const position = nearest.findIndex((better) => better < score)
    nearest.splice(position === -1 ? nearest.length : position, 0, score)
    nearest.length = Math.min(nearest.length, neighbours)
  }
}
