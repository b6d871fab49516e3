import { randomUUID } from 'node:crypto'
import { type SelectQueryBuilder, sql } from 'kysely'
import { AppError } from '../errors.ts'
import type { Database, DocumentsTable, Tables } from '../storage/tables.ts'
import type { Document, DocumentKey, DocumentPlace, NewDocument, Owner, Passage } from './collection.ts'
import { toDocument, toPassage } from './passage-rows.ts'

/** Throws `not_found`. */
export async function getDocument(db: Database, id: string): Promise<Document> {
  const row = await documents(db).where('documents.id', '=', id).executeTakeFirst()
  if (row === undefined) throw new AppError('not_found', `There is no document "${id}".`)
  return withCount(row)
}

export async function findDocument(db: Database, collectionId: string, which: DocumentKey): Promise<Document | undefined> {
  const row = await documents(db)
    .where('documents.collectionId', '=', collectionId)
    .$call((query) => {
      if ('id' in which) return query.where('documents.id', '=', which.id)
      if ('source' in which) return query.where('documents.source', '=', which.source)
      return query.where('documents.sha256', '=', which.sha256)
    })
    .orderBy('documents.createdAt')
    .orderBy('documents.id')
    .executeTakeFirst()
  return row === undefined ? undefined : withCount(row)
}

export async function findDocumentOf(
  db: Database,
  owner: Owner,
  id: string,
): Promise<Readonly<{ document: Document; isOwn: boolean }> | undefined> {
  const row = await documents(db).where('documents.id', '=', id).executeTakeFirst()
  if (row === undefined) return undefined
  const collection = await db
    .selectFrom('collections')
    .select(['ownerId', 'isShared'])
    .where('id', '=', row.collectionId)
    .executeTakeFirst()
  const isOwn = collection?.ownerId === owner
  if (!isOwn && collection?.isShared !== 1) return undefined
  return { document: withCount(row), isOwn }
}

/** Oldest first. */
export async function listDocuments(
  db: Database,
  collectionId: string,
  { limit, after }: Readonly<{ limit: number; after?: DocumentPlace }>,
): Promise<readonly Document[]> {
  const rows = await documents(db)
    .where('documents.collectionId', '=', collectionId)
    .$call((query) => {
      if (after === undefined) return query
      return query.where(sql<boolean>`(documents.created_at, documents.id) > (${after.createdAt}, ${after.id})`)
    })
    .orderBy('documents.createdAt')
    .orderBy('documents.id')
    .limit(limit)
    .execute()
  return rows.map(withCount)
}

export async function listChunks(
  db: Database,
  documentId: string,
  { from, to }: Readonly<{ from: number; to: number }>,
): Promise<readonly Passage[]> {
  const rows = await db
    .selectFrom('passages')
    .selectAll()
    .where('documentId', '=', documentId)
    .where('position', '>=', from)
    .where('position', '<=', to)
    .orderBy('position')
    .execute()
  return rows.map(toPassage)
}

export async function chunkIds(db: Database, documentId: string): Promise<readonly number[]> {
  const rows = await db.selectFrom('passages').select('id').where('documentId', '=', documentId).execute()
  return rows.map(({ id }) => id)
}

/** Inserts the document, or puts it in the place of the one with the same source, which keeps its id. */
export async function saveDocument(
  db: Database,
  collectionId: string,
  { pages, ...document }: NewDocument,
  time: string,
): Promise<Readonly<{ id: string; createdAt: string }>> {
  const values = { ...document, pages: pages ?? null, updatedAt: time }
  return db
    .insertInto('documents')
    .values({ id: randomUUID(), collectionId, createdAt: time, ...values })
    .onConflict((conflict) => conflict.columns(['collectionId', 'source']).doUpdateSet(values))
    .returning(['id', 'createdAt'])
    .executeTakeFirstOrThrow()
}

type CountedDocument = DocumentsTable & Readonly<{ passages: number | null }>

function documents(db: Database): SelectQueryBuilder<Tables, 'documents', CountedDocument> {
  return db
    .selectFrom('documents')
    .selectAll('documents')
    .select(({ selectFrom, fn }) =>
      selectFrom('passages')
        .select(fn.countAll<number>().as('count'))
        .whereRef('passages.documentId', '=', 'documents.id')
        .as('passages'),
    )
}

function withCount({ passages, ...row }: CountedDocument): Document {
  return toDocument(row, passages ?? 0)
}
