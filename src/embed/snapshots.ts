import type { FileHandle } from 'node:fs/promises'
import type { VectorIndex } from '../engine/vector-index.ts'
import { AppError } from '../errors.ts'
import type { Storage } from '../storage/open-storage.ts'
import type { Database } from '../storage/tables.ts'
import type { Collection, Owner } from './collection.ts'
import { findById, findOwn, insertCollection, isId, noCollection, refuseBadName } from './collections.ts'
import { clearCollection } from './passage-rows.ts'
import { restoreRecords } from './restore-records.ts'
import type { SnapshotFile, SnapshotFiles } from './snapshot-files.ts'
import { checkWhole, damaged, readRecords, type SnapshotRecord, writeRecords } from './snapshot-format.ts'
import { readEnd, readHeader, type SnapshotHeader, toRecords } from './snapshot-records.ts'
import { spaceOf } from './vector-rows.ts'

export type SavedSnapshot = SnapshotFile &
  Readonly<{ collection: Collection; documents: number; passages: number; sha256: string }>

export type LoadedSnapshot = Readonly<{ collection: Collection; documents: number; passages: number }>

/** Copies of collections in files, each with its owner. */
export interface Snapshots {
  /**
   * One state of the collection, whatever is written meanwhile. A snapshot of that name is replaced once the new one is whole.
   * Throws `storage_full`, `invalid` for the name.
   */
  save(owner: Owner, collection: Collection, name: string): Promise<SavedSnapshot>
  /**
   * Puts what the snapshot holds in the place of what the owner's collection holds, whole or not at all; a missing collection is made.
   * `into` is its name or id; undefined stands for the name of the collection that was saved. Throws `not_found`, `conflict` when the
   * collection has another model, `invalid` for a bad name and for a damaged file, which is kept aside.
   */
  load(owner: Owner, name: string, into: string | undefined): Promise<LoadedSnapshot>
  list(owner: Owner): Promise<readonly SnapshotFile[]>
  /** Throws `not_found`. */
  remove(owner: Owner, name: string): Promise<void>
}

export type SnapshotsParts = Readonly<{
  db: Database
  readSnapshot: Storage['readSnapshot']
  files: SnapshotFiles
  vectorIndex: Pick<VectorIndex, 'drop'>
  now: () => number
}>

export function createSnapshots(parts: SnapshotsParts): Snapshots {
  const { readSnapshot, files, now } = parts
  return {
    async save(owner, { id, name: collectionName }, name) {
      const createdAt = new Date(now()).toISOString()
      return files.replace(owner, name, (file) =>
        readSnapshot(async (db) => {
          const collection = await findById(db, id)
          if (collection === undefined) throw noCollection(collectionName)
          const counted = { documents: 0, passages: 0 }
          const written = await writeRecords(file, counting(toRecords(db, collection, createdAt), counted))
          return { name, createdAt, collection, ...counted, ...written }
        }),
      )
    },

    async load(owner, name, into) {
      // Before the file is read: what is wrong with the request is not the fault of the file.
      if (into !== undefined && !isId(into)) refuseBadName(into)
      return files.read(owner, name, (file) => load(parts, { owner, into, file }))
    },
    list: files.list,
    remove: files.remove,
  }
}

async function* counting(records: AsyncIterable<SnapshotRecord>, counted: { documents: number; passages: number }) {
  for await (const record of records) {
    if (record.kind === 'document') counted.documents += 1
    if (record.kind === 'passage') counted.passages += 1
    yield record
  }
}

type Load = Readonly<{ owner: Owner; into: string | undefined; file: FileHandle }>

async function load({ db, vectorIndex, now }: SnapshotsParts, { owner, into, file }: Load): Promise<LoadedSnapshot> {
  await checkWhole(file)
  const records = readRecords(file)
  try {
    const first = await records.next()
    if (first.done === true || first.value.kind !== 'header') throw damaged('it does not begin with a header')
    const header = readHeader(first.value.content)
    const loaded = await db.transaction().execute(async (transaction) => {
      const collection = await openTarget(transaction, { owner, into: into ?? header.name, header, now })
      await clearCollection(transaction, collection.id)
      const { ending, ...counted } = await restoreRecords(transaction, collection, records)
      const told = readEnd(ending)
      if (told.documents !== counted.documents || told.passages !== counted.passages)
        throw damaged('it does not hold as much as it says')
      return { collection, ...counted }
    })
    await vectorIndex.drop(spaceOf(loaded.collection)).catch(() => {})
    return loaded
  } finally {
    await records.return(undefined)
  }
}

type Target = Readonly<{ owner: Owner; into: string; header: SnapshotHeader; now: () => number }>

async function openTarget(db: Database, { owner, into, header, now }: Target): Promise<Collection> {
  const { model, dimensions } = header
  const own = await findOwn(db, owner, into)
  if (own === undefined) {
    if (isId(into)) throw noCollection(into)
    refuseBadName(into)
    return insertCollection(db, { owner, name: into, model, dimensions, now })
  }
  if (own.model === model && own.dimensions === dimensions) return own
  throw new AppError(
    'conflict',
    `The snapshot holds vectors of the model "${model}" (${dimensions} dimensions), and the collection "${own.name}" has those of ` +
      `"${own.model}" (${own.dimensions}). Nothing was changed: load it into a collection with another name, and re-embed that one.`,
  )
}
