import { randomUUID } from 'node:crypto'
import type { Embedder } from '../engine/embedder.ts'
import type { VectorIndex } from '../engine/vector-index.ts'
import { AppError } from '../errors.ts'
import type { CollectionsTable, Database } from '../storage/tables.ts'
import type { Collection, Collections, Owner } from './collection.ts'
import { dimensionsOf, type EmbeddingModels, getModel, otherModelMessage } from './embedding-models.ts'
import { clearCollection } from './passage-rows.ts'
import { usualCollection } from './schema.ts'
import { spaceOf } from './vector-rows.ts'

export type CollectionsParts = Readonly<{
  db: Database
  models: EmbeddingModels
  vectorIndex: Pick<VectorIndex, 'drop'>
  now: () => number
}>

export function createCollections(parts: CollectionsParts): Collections {
  const { db, models, vectorIndex, now } = parts
  return {
    async list(owner) {
      const rows = await db
        .selectFrom('collections')
        .selectAll()
        .where(({ eb, or }) => or([eb('ownerId', owner === null ? 'is' : '=', owner), eb('isShared', '=', 1)]))
        .orderBy('name')
        .orderBy('createdAt')
        .execute()
      return rows.map(toCollection)
    },

    async find(owner, nameOrId) {
      const own = await findOwn(db, owner, nameOrId)
      // Who names none means their own: the texts of somebody who shares theirs are not put under them.
      return own ?? (nameOrId === usualCollection ? undefined : findShared(db, nameOrId))
    },

    async open(owner, nameOrId, named) {
      const own = await findOwn(db, owner, nameOrId)
      if (named === undefined && own?.model === models.usual.name) return own
      const model = named === undefined ? models.usual : await getModel(models, named)
      if (own === undefined) return make(parts, owner, nameOrId, model)
      if (own.model !== model.name) throw await otherModel(own, model)
      return own
    },

    getOwn: (owner, nameOrId) => getOwn(db, owner, nameOrId),

    async share(owner, nameOrId, isShared) {
      const { id } = await getOwn(db, owner, nameOrId)
      const updatedAt = new Date(now()).toISOString()
      await db
        .updateTable('collections')
        .set({ isShared: isShared ? 1 : 0, updatedAt })
        .where('id', '=', id)
        .execute()
      return getOwn(db, owner, id)
    },

    async remove(owner, nameOrId) {
      const removed = await db.transaction().execute(async (transaction) => {
        const collection = await getOwn(transaction, owner, nameOrId)
        await clearCollection(transaction, collection.id)
        await transaction.deleteFrom('collections').where('id', '=', collection.id).execute()
        return collection
      })
      // The rows are gone, so what the index still finds there is dropped by the search.
      await vectorIndex.drop(spaceOf(removed)).catch(() => {})
    },
  }
}

export function toCollection(row: CollectionsTable): Collection {
  const { id, ownerId, name, model, dimensions } = row
  return { id, ownerId, name, isShared: row.isShared === 1, model, dimensions, nextModel: row.nextModel ?? undefined }
}

/** The collection as it is now. */
export async function findById(db: Database, id: string): Promise<Collection | undefined> {
  const row = await db.selectFrom('collections').selectAll().where('id', '=', id).executeTakeFirst()
  return row === undefined ? undefined : toCollection(row)
}

/** Throws `not_found`, also for a collection that somebody else shares: reading is all that others may do. */
export async function getOwn(db: Database, owner: Owner, nameOrId: string): Promise<Collection> {
  const own = await findOwn(db, owner, nameOrId)
  if (own === undefined) throw noCollection(nameOrId)
  return own
}

export function noCollection(nameOrId: string): AppError {
  return new AppError('not_found', `No collection is called ${JSON.stringify(nameOrId.slice(0, 100))}.`)
}

export async function findOwn(db: Database, owner: Owner, nameOrId: string): Promise<Collection | undefined> {
  const row = await db
    .selectFrom('collections')
    .selectAll()
    .where('ownerId', owner === null ? 'is' : '=', owner)
    .where(({ eb, or }) => or([eb('name', '=', nameOrId), eb('id', '=', nameOrId)]))
    .executeTakeFirst()
  return row === undefined ? undefined : toCollection(row)
}

/** Of several with that name the oldest, so that a newer one cannot take its place. */
async function findShared(db: Database, nameOrId: string): Promise<Collection | undefined> {
  const row = await db
    .selectFrom('collections')
    .selectAll()
    .where('isShared', '=', 1)
    .where(({ eb, or }) => or([eb('name', '=', nameOrId), eb('id', '=', nameOrId)]))
    .orderBy('createdAt')
    .orderBy('id')
    .executeTakeFirst()
  return row === undefined ? undefined : toCollection(row)
}

const idForm = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** No name has this form. */
export const isId = (nameOrId: string): boolean => idForm.test(nameOrId)

async function make({ db, now }: CollectionsParts, owner: Owner, name: string, model: Embedder): Promise<Collection> {
  if (isId(name)) throw noCollection(name)
  refuseBadName(name)
  const dimensions = await dimensionsOf(model, new AbortController().signal)
  return insertCollection(db, { owner, name, model: model.name, dimensions, now })
}

export type NewCollection = Readonly<{ owner: Owner; name: string; model: string; dimensions: number; now: () => number }>

/** Makes the collection, unless somebody was quicker: then theirs is given. */
export async function insertCollection(db: Database, collection: NewCollection): Promise<Collection> {
  const { owner, name, model, dimensions, now } = collection
  const time = new Date(now()).toISOString()
  await db
    .insertInto('collections')
    .values({
      id: randomUUID(),
      ownerId: owner,
      name,
      isShared: 0,
      model,
      dimensions,
      nextModel: null,
      createdAt: time,
      updatedAt: time,
    })
    .onConflict((conflict) => conflict.doNothing())
    .execute()
  return getOwn(db, owner, name)
}

/** Throws `invalid` for names that cannot be told apart or shown. */
export function refuseBadName(name: string): void {
  const isGood = /^[^\p{C}]{1,100}$/u.test(name) && name === name.trim()
  if (isGood && !isId(name)) return
  const expected = '1 to 100 visible characters without white space around them, and not the form of an id'
  const details = [{ field: 'collection', expected, got: `a text of ${name.length} characters` }]
  throw new AppError('invalid', `The name of a collection must be ${expected}.`, { details })
}

async function otherModel(collection: Collection, model: Embedder): Promise<AppError> {
  const dimensions = await dimensionsOf(model, new AbortController().signal).catch(() => undefined)
  const size = dimensions === undefined ? {} : { dimensions }
  return new AppError('conflict', otherModelMessage(collection, { name: model.name, ...size }))
}
