import type { Insertable, Selectable } from 'kysely'
import type { Database, DocumentsTable, PassagesTable } from '../storage/tables.ts'
import type { Document, NewPassage, Passage, PassagePlace } from './collection.ts'
import { pause } from './pause.ts'
import { rowsPerStatement } from './vector-rows.ts'

/** Passages deleted by one statement; each takes its words and vectors along. */
const deletedPerStatement = 200

export type PassageToInsert = NewPassage &
  Readonly<{ itemId: string; documentId: string | null; position: number; createdAt: string }>

/** Gives the ids in the order of the passages. */
export async function insertPassages(
  db: Database,
  collectionId: string,
  passages: readonly PassageToInsert[],
): Promise<readonly number[]> {
  const ids = new Map<string, number>()
  for (let from = 0; from < passages.length; from += rowsPerStatement) {
    const rows = passages.slice(from, from + rowsPerStatement).map((passage) => toRow(collectionId, passage))
    // SQLite does not promise the order of what it returns.
    const inserted = await db.insertInto('passages').values(rows).returning(['id', 'itemId']).execute()
    for (const { id, itemId } of inserted) ids.set(itemId, id)
    await pause()
  }
  return passages.flatMap(({ itemId }) => ids.get(itemId) ?? [])
}

function toRow(collectionId: string, passage: PassageToInsert): Insertable<PassagesTable> {
  const { itemId, documentId, position, text, metadata = {}, place = {}, createdAt } = passage
  return {
    collectionId,
    itemId,
    documentId,
    position,
    text,
    metadata: JSON.stringify(metadata),
    page: place.page ?? null,
    lastPage: place.lastPage ?? null,
    section: place.section ?? null,
    startOffset: place.startOffset ?? null,
    endOffset: place.endOffset ?? null,
    createdAt,
  }
}

export function toPassage(row: Selectable<PassagesTable>): Passage {
  const { id, itemId, documentId, position, text, metadata } = row
  return {
    id,
    itemId,
    documentId: documentId ?? undefined,
    position,
    text,
    metadata: JSON.parse(metadata),
    place: toPlace(row),
  }
}

function toPlace({ page, lastPage, section, startOffset, endOffset }: Selectable<PassagesTable>): PassagePlace {
  return {
    ...(page === null ? {} : { page }),
    ...(lastPage === null ? {} : { lastPage }),
    ...(section === null ? {} : { section }),
    ...(startOffset === null ? {} : { startOffset }),
    ...(endOffset === null ? {} : { endOffset }),
  }
}

export function toDocument(row: DocumentsTable, passages: number): Document {
  const { pages, ...rest } = row
  return { ...rest, passages, ...(pages === null ? {} : { pages }) }
}

/** Passages of the collection by their numbers, without those that are gone. */
export async function findPassages(
  db: Database,
  collectionId: string,
  ids: readonly number[],
): Promise<ReadonlyMap<number, Passage>> {
  const found = new Map<number, Passage>()
  for (let from = 0; from < ids.length; from += 500) {
    const rows = await db
      .selectFrom('passages')
      .selectAll()
      .where('collectionId', '=', collectionId)
      .where('id', 'in', ids.slice(from, from + 500))
      .execute()
    for (const row of rows) found.set(row.id, toPassage(row))
  }
  return found
}

/** Deletes passages with their words and vectors. */
export async function deletePassages(db: Database, ids: readonly number[]): Promise<void> {
  for (let from = 0; from < ids.length; from += deletedPerStatement) {
    await db
      .deleteFrom('passages')
      .where('id', 'in', ids.slice(from, from + deletedPerStatement))
      .execute()
    await pause()
  }
}

/** Deletes all that the collection holds, but not the collection. */
export async function clearCollection(db: Database, collectionId: string): Promise<void> {
  for (;;) {
    const rows = await db
      .selectFrom('passages')
      .select('id')
      .where('collectionId', '=', collectionId)
      .orderBy('id')
      .limit(deletedPerStatement)
      .execute()
    if (rows.length === 0) break
    await deletePassages(
      db,
      rows.map(({ id }) => id),
    )
  }
  await db.deleteFrom('documents').where('collectionId', '=', collectionId).execute()
}
