import { sql } from 'kysely'
import { isPostgres } from '../src/storage/dialect.ts'
import type { Database } from '../src/storage/tables.ts'

/** Throws unless the words that are searched are those of the passages. */
export async function checkWords(db: Database): Promise<void> {
  if (!isPostgres(db)) {
    await sql`insert into passages_search(passages_search, rank) values ('integrity-check', 1)`.execute(db)
    return
  }
  const { rows } = await sql<{ what: string }>`
    select 'passage ' || coalesce(passages.id, passage_id) as what from passages full join passage_words on passage_id = passages.id
    where words is distinct from simpleia_passage_words(passages.collection_id, section, text)
    union all
    select 'collection ' || known.collection_id from collection_words as known
    where (known.passages, known.length) <> (
      select count(*), coalesce(sum(length), 0) from passage_words as kept where kept.collection_id = known.collection_id)`.execute(
    db,
  )
  if (rows.length > 0) throw new Error(`Not in step: ${rows.map(({ what }) => what).join(', ')}`)
}
