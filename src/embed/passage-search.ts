import { sql } from 'kysely'
import type { VectorHit, VectorIndex } from '../engine/vector-index.ts'
import { AppError } from '../errors.ts'
import { isPostgres } from '../storage/dialect.ts'
import type { Database } from '../storage/tables.ts'
import type { Collection, FoundPassage, PassageQuery, PassageSearch } from './collection.ts'
import { findById, noCollection } from './collections.ts'
import { type EmbeddingModels, modelOf, otherModelMessage } from './embedding-models.ts'
import { type MetadataFilter, toCondition } from './metadata-filter.ts'
import { metadataIn } from './metadata-values.ts'
import { findPassages } from './passage-rows.ts'
import { pause } from './pause.ts'
import { spaceOf, toVector } from './vector-rows.ts'
import { searchWords } from './word-search.ts'

export type PassageSearchParts = Readonly<{
  db: Database
  models: EmbeddingModels
  vectorIndex: Pick<VectorIndex, 'search'>
}>

/** Found beyond what is wanted, for hits whose rows have gone. */
const spareHits = 8
/** Passages that a filter looks at between two pauses. */
const filteredPerPage = 2000
const attempts = 3

export function createPassageSearch(parts: PassageSearchParts): PassageSearch {
  const { db } = parts
  return {
    byVector: (collection, query, signal) => byVector(parts, collection, query, signal),
    byWords: (collection, query) => searchWords(db, collection, query),

    async vectorsOf({ id, model }, ids) {
      const found = new Map<number, Float32Array>()
      for (let from = 0; from < ids.length; from += 500) {
        const rows = await db
          .selectFrom('vectors')
          .innerJoin('passages', 'passages.id', 'vectors.passageId')
          .select(['passages.id', 'vectors.vector'])
          .where('passages.collectionId', '=', id)
          .where('vectors.model', '=', model)
          .where('passages.id', 'in', ids.slice(from, from + 500))
          .execute()
        for (const row of rows) found.set(row.id, toVector(row.vector))
      }
      return found
    },
  }
}

/**
 * The collection is looked up before and after: one that was given another model meanwhile loses its old vectors little by little, so
 * the search begins again with the new ones.
 */
async function byVector(
  parts: PassageSearchParts,
  given: Collection,
  query: PassageQuery,
  signal: AbortSignal,
): Promise<readonly FoundPassage[]> {
  for (let attempt = 0; attempt < attempts; attempt += 1) {
    const collection = await findById(parts.db, given.id)
    if (collection === undefined) throw noCollection(given.name)
    const found = await searchOnce(parts, collection, query, signal)
    if ((await findById(parts.db, given.id))?.model === collection.model) return found
  }
  throw new AppError('conflict', `The collection "${given.name}" changes its model again and again. Try again later.`)
}

async function searchOnce(
  { db, models, vectorIndex }: PassageSearchParts,
  collection: Collection,
  { text, k, filter, truncate = false, onEmbedded = () => {} }: PassageQuery,
  signal: AbortSignal,
): Promise<readonly FoundPassage[]> {
  const model = await modelOf(models, collection)
  const within = filter === undefined ? undefined : await idsThrough(db, collection.id, filter)
  if (within?.length === 0) return []
  const { vectors, tokens } = await model.encode({ texts: [text], truncate, purpose: 'query' }, signal)
  onEmbedded(tokens[0] ?? 0)
  const [vector] = vectors
  if (vector?.length !== collection.dimensions) {
    const size = vector === undefined ? {} : { dimensions: vector.length }
    throw new AppError('conflict', otherModelMessage(collection, { name: model.name, ...size }))
  }
  for (let wanted = k + spareHits; ; wanted *= 2) {
    const space = spaceOf(collection)
    const hits = await vectorIndex.search(space, { vector, k: wanted, ...(within === undefined ? {} : { within }) }, signal)
    const found = await withPassages(db, collection.id, hits)
    // The index may be a moment behind the rows: where much has gone, there is more to be had further down.
    if (found.length >= k || hits.length < wanted) return found.slice(0, k)
  }
}

async function withPassages(db: Database, collectionId: string, hits: readonly VectorHit[]): Promise<FoundPassage[]> {
  const ids = hits.map(({ id }) => id)
  const passages = await findPassages(db, collectionId, ids)
  return hits.flatMap(({ id, score }) => {
    const passage = passages.get(id)
    return passage === undefined ? [] : [{ ...passage, score }]
  })
}

/** The numbers of the passages that a filter lets through. */
async function idsThrough(db: Database, collectionId: string, filter: MetadataFilter): Promise<readonly number[]> {
  const condition = toCondition(db, filter, sql`metadata`)
  const listed = isPostgres(db) ? sql`json_agg(id)` : sql`json_group_array(id)`
  const ids: number[] = []
  for (let after = 0; ; ) {
    const { rows } = await sql<{ last: number | null; size: number; ids: string | null }>`
      with page as materialized (
        select id, ${metadataIn(db, sql`metadata`)} as metadata from passages
        where collection_id = ${collectionId} and id > ${after} order by id limit ${filteredPerPage}
      )
      select max(id) as last, count(*) as size, ${listed} filter (where ${condition}) as ids from page`.execute(db)
    const [page] = rows
    if (page === undefined || page.last === null) return ids
    for (const id of JSON.parse(page.ids ?? '[]')) ids.push(id)
    if (page.size < filteredPerPage) return ids
    after = page.last
    await pause()
  }
}
