import { randomUUID } from 'node:crypto'
import type { VectorIndex } from '../engine/vector-index.ts'
import { AppError } from '../errors.ts'
import type { Database } from '../storage/tables.ts'
import type { Collection, Document, NewDocument, NewItem, NewPassage, Passages } from './collection.ts'
import { findById } from './collections.ts'
import { chunkIds, findDocument, findDocumentOf, getDocument, listChunks, listDocuments, saveDocument } from './document-rows.ts'
import { embedAndWrite } from './embed-and-write.ts'
import { embeddedText } from './embedded-text.ts'
import type { EmbeddingModels } from './embedding-models.ts'
import { deletePassages, insertPassages } from './passage-rows.ts'
import { refuse, refuseUnstorable } from './storable.ts'
import { tellIndex } from './tell-index.ts'
import { spaceOf } from './vector-rows.ts'

export type PassagesParts = Readonly<{
  db: Database
  models: EmbeddingModels
  vectorIndex: Pick<VectorIndex, 'add' | 'remove' | 'drop'>
  now: () => number
}>

export function createPassages(parts: PassagesParts): Passages {
  const { db, vectorIndex } = parts
  return {
    add: (collection, items, signal, { truncate = false } = {}) => add(parts, collection, items, { truncate, signal }),

    async removeItems(collection, itemIds) {
      const ids = await db.transaction().execute(async (transaction) => {
        const found = await findItems(transaction, collection.id, itemIds)
        await deletePassages(transaction, found)
        return found
      })
      const current = (await findById(db, collection.id)) ?? collection
      await tellIndex(vectorIndex, spaceOf(current), { removed: ids })
      return ids.length
    },

    async count({ id }) {
      const documents = await countRows(db, 'documents', id)
      return { documents, passages: await countRows(db, 'passages', id) }
    },

    replaceDocument: (collection, document, chunks, signal, onEmbedded) =>
      replace(parts, { collection, document, chunks, signal, onEmbedded }),

    async removeDocument({ id, collectionId }) {
      const removed = await db.transaction().execute(async (transaction) => {
        await getDocument(transaction, id)
        const ids = await chunkIds(transaction, id)
        await deletePassages(transaction, ids)
        await transaction.deleteFrom('documents').where('id', '=', id).execute()
        return { ids, collection: await findById(transaction, collectionId) }
      })
      if (removed.collection !== undefined) await tellIndex(vectorIndex, spaceOf(removed.collection), { removed: removed.ids })
    },

    findDocument: (collection, which) => findDocument(db, collection.id, which),
    findDocumentOf: (owner, id) => findDocumentOf(db, owner, id),
    listDocuments: (collection, page) => listDocuments(db, collection.id, page),
    listChunks: (documentId, range) => listChunks(db, documentId, range),
  }
}

async function countRows(db: Database, table: 'documents' | 'passages', collectionId: string): Promise<number> {
  const { count } = await db
    .selectFrom(table)
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('collectionId', '=', collectionId)
    .executeTakeFirstOrThrow()
  return count
}

async function add(
  parts: PassagesParts,
  collection: Collection,
  items: readonly NewItem[],
  options: Readonly<{ truncate: boolean; signal: AbortSignal }>,
): Promise<readonly string[]> {
  const { vectorIndex, now } = parts
  for (const [index, item] of items.entries()) refuseUnstorable(item, `documents.${index}`)
  const createdAt = new Date(now()).toISOString()
  const rows = items.map((item) => ({ ...item, itemId: item.itemId ?? randomUUID(), documentId: null, position: 0, createdAt }))
  const itemIds = rows.map(({ itemId }) => itemId)
  refuseDuplicates(itemIds)
  const texts = rows.map(({ text }) => text)
  const written = await embedAndWrite(parts, {
    collection,
    texts,
    options,
    write: async (transaction, { id }, storeVectors) => {
      // An id that is there gets a new row, so that what the index still holds of the old one leads nowhere.
      const removed = await findItems(transaction, id, itemIds)
      await deletePassages(transaction, removed)
      const ids = await insertPassages(transaction, id, rows)
      await storeVectors(ids)
      return { removed, ids }
    },
  })
  const { removed, ids } = written.outcome
  await tellIndex(vectorIndex, spaceOf(written.collection), { removed, added: { ids, vectors: written.vectors } })
  return itemIds
}

function refuseDuplicates(itemIds: readonly string[]): void {
  const seen = new Set<string>()
  for (const [index, id] of itemIds.entries()) {
    if (!id.isWellFormed()) refuse(`documents.${index}.id`, 'whole Unicode characters', 'half a surrogate pair')
    if (seen.has(id)) refuse(`documents.${index}.id`, 'given once in a request', 'the id of an earlier one')
    seen.add(id)
  }
}

/** Numbers of the items that are there. Throws `conflict` for those that are part of a document. */
async function findItems(db: Database, collectionId: string, itemIds: readonly string[]): Promise<readonly number[]> {
  const found: number[] = []
  for (let from = 0; from < itemIds.length; from += 500) {
    const rows = await db
      .selectFrom('passages')
      .select(['id', 'itemId', 'documentId'])
      .where('collectionId', '=', collectionId)
      .where('itemId', 'in', itemIds.slice(from, from + 500))
      .execute()
    const chunk = rows.find(({ documentId }) => documentId !== null)
    if (chunk !== undefined) {
      const message = `"${chunk.itemId}" is a part of the document ${chunk.documentId}, and comes and goes with it.`
      throw new AppError('conflict', message)
    }
    found.push(...rows.map(({ id }) => id))
  }
  return found
}

type Replacement = Readonly<{
  collection: Collection
  document: NewDocument
  chunks: readonly NewPassage[]
  signal: AbortSignal
  onEmbedded: ((chunks: number) => void) | undefined
}>

async function replace(
  parts: PassagesParts,
  { collection, document, chunks, signal, onEmbedded }: Replacement,
): Promise<Document> {
  const { vectorIndex, now } = parts
  for (const [index, chunk] of chunks.entries()) refuseUnstorable(chunk, `chunks.${index}`)
  const written = await embedAndWrite(parts, {
    collection,
    texts: chunks.map(({ text, place }) => embeddedText({ text, section: place?.section })),
    options: { truncate: false, signal, onEmbedded },
    write: async (transaction, { id: collectionId }, storeVectors) => {
      const time = new Date(now()).toISOString()
      const { id, createdAt } = await saveDocument(transaction, collectionId, document, time)
      const removed = await chunkIds(transaction, id)
      await deletePassages(transaction, removed)
      const rows = chunks.map((chunk, position) => ({
        ...chunk,
        position,
        documentId: id,
        itemId: `${id}#${position}`,
        createdAt: time,
      }))
      const ids = await insertPassages(transaction, collectionId, rows)
      await storeVectors(ids)
      const saved: Document = { ...document, id, collectionId, passages: ids.length, createdAt, updatedAt: time }
      return { saved, removed, ids }
    },
  })
  const { saved, removed, ids } = written.outcome
  await tellIndex(vectorIndex, spaceOf(written.collection), { removed, added: { ids, vectors: written.vectors } })
  return saved
}
