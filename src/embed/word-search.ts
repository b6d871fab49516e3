import { sql } from 'kysely'
import { isPostgres } from '../storage/dialect.ts'
import type { Database } from '../storage/tables.ts'
import { sectionWeight } from './bm25.ts'
import type { Collection, FoundPassage, PassageQuery } from './collection.ts'
import { toCondition } from './metadata-filter.ts'
import { metadataIn } from './metadata-values.ts'
import { findPassages, toPassage } from './passage-rows.ts'
import { rankByWords } from './postgres-words.ts'
import { readWordTerms, toWordQuery } from './word-query.ts'

/** Passages that hold one of the telling words of the text, best first; `score` is BM25. */
export function searchWords(db: Database, collection: Collection, query: PassageQuery): Promise<readonly FoundPassage[]> {
  return isPostgres(db) ? searchPostgres(db, collection, query) : searchSqlite(db, collection, query)
}

async function searchSqlite(db: Database, { id }: Collection, { text, k, filter = {} }: PassageQuery) {
  const words = toWordQuery(text)
  const condition = toCondition(db, filter, metadataIn(db, sql`passages.metadata`))
  if (words === undefined) return []
  const rows = await db
    .selectFrom('passages')
    .innerJoin(sql<{ rowid: number; rank: number }>`passages_search`.as('passages_search'), (join) =>
      join.on(sql`passages_search.rowid`, '=', sql`passages.id`),
    )
    .selectAll('passages')
    .select(sql<number>`bm25(passages_search, ${sectionWeight}, 1)`.as('rank'))
    .where(sql<boolean>`passages_search match ${words}`)
    .where('passages.collectionId', '=', id)
    .where(sql<boolean>`${condition}`)
    .orderBy('rank')
    .orderBy('passages.id')
    .limit(k)
    .execute()
  return rows.map(({ rank, ...row }) => ({ ...toPassage(row), score: -rank }))
}

async function searchPostgres(db: Database, { id }: Collection, { text, k, filter }: PassageQuery) {
  const condition = filter === undefined ? undefined : toCondition(db, filter, metadataIn(db, sql`passages.metadata`))
  const ranked = await rankByWords(db, { collectionId: id, terms: readWordTerms(text), condition, k })
  const passages = await findPassages(
    db,
    id,
    ranked.map((one) => one.id),
  )
  return ranked.flatMap(({ id: number, score }) => {
    const passage = passages.get(number)
    return passage === undefined ? [] : [{ ...passage, score }]
  })
}
