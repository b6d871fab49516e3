import type { Embedder } from '../engine/embedder.ts'
import { dot } from '../engine/local/vector-codes.ts'
import type { ReadVectors, VectorHit, VectorIndex, VectorSpace } from '../engine/vector-index.ts'
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
  /** The nearest of all, best first. */
  nearest: VectorHit[]
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
  const hitsOf = new Map<Query, readonly VectorHit[]>()
  for (const query of queries) hitsOf.set(query, await vectorIndex.search(space, { vector: query.vector, k: neighbours }, signal))
  // Others go on writing: what was removed between comparison and search is nobody's fault.
  const left = await listLeft(
    db,
    queries.flatMap(({ id, nearest }) => [id, ...nearest.map((one) => one.id)]),
  )
  const judged = queries.filter(({ id }) => left.has(id))
  const wanted = judged.flatMap(({ nearest }) => nearest.filter(({ id }) => left.has(id)))
  const found = judged.flatMap((query) =>
    query.nearest.filter((one) => left.has(one.id) && isAmong(hitsOf.get(query) ?? [], one)),
  )
  const themselves = judged.filter(
    (query) => query.itself >= sameVector && isAmong(hitsOf.get(query) ?? [], { id: query.id, score: query.itself }),
  )
  const share = (part: number, whole: number) => (whole === 0 ? 1 : part / whole)
  return {
    sample: judged.length,
    neighbours: share(found.length, wanted.length),
    itself: share(themselves.length, judged.length),
  }
}

/** Whether it was found, or others that are as near (equal texts, or texts that were added since) left no room for it. */
function isAmong(hits: readonly VectorHit[], { id, score }: VectorHit): boolean {
  if (hits.some((hit) => hit.id === id)) return true
  const last = hits.at(-1)
  return hits.length === neighbours && last !== undefined && last.score >= score - tolerance
}

async function listLeft(db: Database, ids: readonly number[]): Promise<ReadonlySet<number>> {
  const rows = ids.length === 0 ? [] : await db.selectFrom('passages').select('id').where('id', 'in', ids).execute()
  return new Set(rows.map(({ id }) => id))
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
    const score = dot(vector, other, 0)
    if (ids[index] === query.id) query.itself = score
    const id = ids[index]
    const worst = nearest.at(neighbours - 1)
    if (id === undefined || (worst !== undefined && score <= worst.score)) continue
    const position = nearest.findIndex((other) => other.score < score)
    nearest.splice(position === -1 ? nearest.length : position, 0, { id, score })
    if (nearest.length > neighbours) nearest.pop()
  }
}
