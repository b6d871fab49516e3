import { randomUUID } from 'node:crypto'
import { AppError } from '../errors.ts'
import type { Database } from '../storage/tables.ts'
import type { Collection } from './collection.ts'
import { insertPassages } from './passage-rows.ts'
import { damaged, type SnapshotRecord } from './snapshot-format.ts'
import { readDocument, readPassage, type SnapshotDocument } from './snapshot-records.ts'
import { refuseUnstorable } from './storable.ts'
import { insertVectors, rowsPerStatement } from './vector-rows.ts'

export type RestoredRecords = Readonly<{ documents: number; passages: number; ending: Buffer }>

type ReadPassage = ReturnType<typeof readPassage>

/**
 * Puts documents and passages into an empty collection, in the transaction of the caller. A document keeps its id, unless a document of
 * another collection has it. Throws `invalid` for whatever no snapshot of ours holds.
 */
export async function restoreRecords(
  db: Database,
  collection: Collection,
  records: AsyncIterable<SnapshotRecord>,
): Promise<RestoredRecords> {
  /** Ids of documents, from those in the file to those in the database. */
  const documentIds = new Map<string, string>()
  let waiting: ReadPassage[] = []
  let passages = 0
  let ending: Buffer | undefined
  try {
    for await (const { kind, content } of records) {
      if (ending !== undefined) throw damaged('it goes on after its end')
      switch (kind) {
        case 'header':
          throw damaged('it has two headers')
        case 'document': {
          const document = readDocument(content)
          if (documentIds.has(document.id)) throw damaged('a document is there twice')
          documentIds.set(document.id, await insertDocument(db, collection.id, document))
          break
        }
        case 'passage':
          waiting.push(readPassage(content, collection.dimensions))
          passages += 1
          if (waiting.length < rowsPerStatement) break
          await insertRead(db, collection, waiting, documentIds)
          waiting = []
          break
        case 'end':
          ending = content
      }
    }
    await insertRead(db, collection, waiting, documentIds)
  } catch (error) {
    throw isConstraint(error) ? damaged('an id is there twice') : error
  }
  if (ending === undefined) throw damaged('it has no end')
  return { documents: documentIds.size, passages, ending }
}

async function insertDocument(db: Database, collectionId: string, document: SnapshotDocument): Promise<string> {
  const taken = await db.selectFrom('documents').select('id').where('id', '=', document.id).executeTakeFirst()
  const id = taken === undefined ? document.id : randomUUID()
  await db
    .insertInto('documents')
    .values({ ...document, id, collectionId })
    .execute()
  return id
}

async function insertRead(
  db: Database,
  collection: Collection,
  read: readonly ReadPassage[],
  documentIds: ReadonlyMap<string, string>,
): Promise<void> {
  const rows = read.map(({ passage: { page, lastPage, section, startOffset, endOffset, ...passage } }) => {
    const documentId = passage.documentId === null ? null : documentIds.get(passage.documentId)
    if (documentId === undefined) throw damaged('a passage is of a document that is not there')
    const place = given({ page, lastPage, section, startOffset, endOffset })
    refuseUnstorable({ ...passage, place }, 'passage')
    return { ...passage, documentId, place }
  })
  const ids = await insertPassages(db, collection.id, rows)
  await insertVectors(
    db,
    collection.model,
    ids,
    read.map(({ vector }) => vector),
  )
}

type Given<T> = { [K in keyof T]?: Exclude<T[K], null> }

function given<T extends object>(values: T): Given<T>
function given(values: object): object {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== null))
}

function isConstraint(error: unknown): boolean {
  if (error instanceof AppError || !(error instanceof Error) || !('code' in error)) return false
  // Class 23 of PostgreSQL: integrity constraint violation.
  return /^(SQLITE_CONSTRAINT|23...$)/.test(String(error.code))
}
