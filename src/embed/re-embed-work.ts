import type { Embedder } from '../engine/embedder.ts'
import { AppError } from '../errors.ts'
import type { Database } from '../storage/tables.ts'
import type { Collection } from './collection.ts'
import { findById } from './collections.ts'
import { textsPerCall } from './embed-and-write.ts'
import { embeddedText } from './embedded-text.ts'
import { pause } from './pause.ts'
import { insertVectors } from './vector-rows.ts'

/** Passages looked at between two pauses. */
const passagesPerPage = 512

/** The collection, and the model and size of the vectors that it is to get. */
export type Move = Readonly<{ collectionId: string; model: Embedder; dimensions: number }>

export type FillOptions = Readonly<{
  move: Move
  /** All passages up to this one have their vectors. */
  after: number
  /** Called with how many more passages have their vectors, and how many texts were cut for that. */
  onProgress: (done: number, truncated: number) => Promise<void>
  signal: AbortSignal
}>

/** The collection is no longer on its way to the model: somebody gave it up, or removed it. */
export class MoveEnded extends Error {}

/**
 * Makes the vectors that are missing, from the passage after `after` on, and gives the last passage that it saw. Passages get rising
 * numbers, so whatever is added meanwhile comes after. Throws `MoveEnded`, and as the embedder.
 */
export async function fillVectors(db: Database, { move, after, onProgress, signal }: FillOptions): Promise<number> {
  for (let last = after; ; ) {
    signal.throwIfAborted()
    const page = await db
      .selectFrom('passages')
      .select('id')
      .where('collectionId', '=', move.collectionId)
      .where('id', '>', last)
      .orderBy('id')
      .limit(passagesPerPage)
      .execute()
    const end = page.at(-1)
    if (end === undefined) return last
    const missing = await listMissing(
      db,
      move.model.name,
      page.map(({ id }) => id),
    )
    let truncated = 0
    await onProgress(page.length - missing.length, 0)
    for (let from = 0; from < missing.length; from += textsPerCall) {
      const piece = missing.slice(from, from + textsPerCall)
      truncated = await embedPiece(db, move, piece, signal)
      await onProgress(piece.length, truncated)
    }
    last = end.id
    // Those who add meanwhile make these vectors themselves: whoever ran after them would never arrive.
    if (page.length < passagesPerPage) return last
    await pause()
  }
}

type Text = Readonly<{ id: number; section: string | null; text: string }>

async function listMissing(db: Database, model: string, ids: readonly number[]): Promise<readonly Text[]> {
  return db
    .selectFrom('passages')
    .select(['id', 'section', 'text'])
    .where('id', 'in', ids)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('vectors')
            .select('passageId')
            .whereRef('vectors.passageId', '=', 'passages.id')
            .where('vectors.model', '=', model),
        ),
      ),
    )
    .orderBy('id')
    .execute()
}

/** Gives how many texts were cut: what fitted into the old model need not fit into the new one. */
async function embedPiece(
  db: Database,
  { collectionId, model, dimensions }: Move,
  piece: readonly Text[],
  signal: AbortSignal,
): Promise<number> {
  const texts = piece.map(embeddedText)
  const { vectors, truncated } = await model.encode({ texts, truncate: true, purpose: 'document' }, signal)
  const wrong = vectors.find(({ length }) => length !== dimensions)
  if (wrong !== undefined || vectors.length !== piece.length)
    throw new AppError(
      'internal',
      `The model "${model.name}" gave vectors of ${wrong?.length} dimensions, and ${dimensions} before.`,
    )
  await db.transaction().execute(async (transaction) => {
    await getMoving(transaction, collectionId, model.name)
    const ids = piece.map(({ id }) => id)
    const left = await transaction.selectFrom('passages').select('id').where('id', 'in', ids).execute()
    const isLeft = new Set(left.map(({ id }) => id))
    const kept = piece.flatMap(({ id }, index) => {
      const vector = vectors[index]
      return vector !== undefined && isLeft.has(id) ? [{ id, vector }] : []
    })
    await insertVectors(
      transaction,
      model.name,
      kept.map(({ id }) => id),
      kept.map(({ vector }) => vector),
    )
  })
  return truncated.filter(Boolean).length
}

/** Throws `MoveEnded`. */
export async function getMoving(db: Database, collectionId: string, model: string): Promise<Collection> {
  const collection = await findById(db, collectionId)
  if (collection?.nextModel !== model) throw new MoveEnded()
  return collection
}

export type Switch = Readonly<{
  /** As it was. */
  before: Collection
  after: Collection
  /** Whether all passages were there when the vectors of `after` were last complete. */
  isUnchanged: boolean
}>

/**
 * Lets the new vectors answer, in one transaction, if none is missing. Undefined when some are: they came in after `last`, and their
 * writers did not get the model to make them.
 */
export async function switchModel(
  db: Database,
  { collectionId, model, dimensions }: Move,
  { last, now }: Readonly<{ last: number; now: () => number }>,
): Promise<Switch | undefined> {
  return db.transaction().execute(async (transaction) => {
    const before = await getMoving(transaction, collectionId, model.name)
    const added = await transaction
      .selectFrom('passages')
      .select('id')
      .where('collectionId', '=', collectionId)
      .where('id', '>', last)
      .execute()
    const ids = added.map(({ id }) => id)
    for (let from = 0; from < ids.length; from += passagesPerPage) {
      const missing = await listMissing(transaction, model.name, ids.slice(from, from + passagesPerPage))
      if (missing.length > 0) return undefined
    }
    const updatedAt = new Date(now()).toISOString()
    await transaction
      .updateTable('collections')
      .set({ model: model.name, dimensions, nextModel: null, updatedAt })
      .where('id', '=', collectionId)
      .execute()
    const after = { ...before, model: model.name, dimensions, nextModel: undefined }
    return { before, after, isUnchanged: ids.length === 0 }
  })
}
