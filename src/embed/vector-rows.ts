import type { ReadVectors, VectorSpace } from '../engine/vector-index.ts'
import { isPostgres } from '../storage/dialect.ts'
import type { Database } from '../storage/tables.ts'
import type { Collection } from './collection.ts'
import { pause } from './pause.ts'

/** Rows of one statement. */
export const rowsPerStatement = 64
const rowsPerPage = 400
/** Between the id of a collection and the name of a model; an id is a UUID and holds none. */
const separator = ':'

/** Where the vectors of a collection are found; those of one model never meet those of another. */
export function spaceOf(collection: Pick<Collection, 'id' | 'model' | 'dimensions'>): VectorSpace {
  return { key: `${collection.id}${separator}${collection.model}`, dimensions: collection.dimensions }
}

/** What `spaceOf` made the key of. */
export function readKey({ key }: VectorSpace): Readonly<{ collectionId: string; model: string }> {
  const end = key.indexOf(separator)
  return { collectionId: key.slice(0, end), model: key.slice(end + 1) }
}

/** 32-bit floats as they lie in memory: little-endian on every platform that Node.js is built for here. */
export function toBytes(vector: Float32Array): Buffer {
  return Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength)
}

/** A vector as a row gives it: the bytes in SQLite, of which this is a copy, as they may begin anywhere in a larger buffer. */
export function toVector(stored: Uint8Array | string): Float32Array {
  return typeof stored === 'string' ? Float32Array.from(JSON.parse(stored)) : new Float32Array(Uint8Array.from(stored).buffer)
}

/** As pgvector writes vectors. */
export const toVectorText = (vector: Float32Array): string => `[${vector.join(',')}]`

/** Inserts vectors for the passages, both in the same order. A vector that is there already stays. */
export async function insertVectors(
  db: Database,
  model: string,
  passageIds: readonly number[],
  vectors: readonly Float32Array[],
): Promise<void> {
  const toStored = isPostgres(db) ? toVectorText : toBytes
  for (let from = 0; from < passageIds.length; from += rowsPerStatement) {
    const rows = passageIds.slice(from, from + rowsPerStatement).flatMap((passageId, index) => {
      const vector = vectors[from + index]
      return vector === undefined ? [] : [{ passageId, model, vector: toStored(vector) }]
    })
    await db
      .insertInto('vectors')
      .values(rows)
      .onConflict((conflict) => conflict.doNothing())
      .execute()
    await pause()
  }
}

export async function countVectors(db: Database, space: VectorSpace): Promise<number> {
  const { collectionId, model } = readKey(space)
  const { count } = await db
    .selectFrom('vectors')
    .innerJoin('passages', 'passages.id', 'vectors.passageId')
    .select(({ fn }) => fn.countAll<number>().as('count'))
    .where('passages.collectionId', '=', collectionId)
    .where('vectors.model', '=', model)
    .executeTakeFirstOrThrow()
  return count
}

/** Reads the vectors of a space by rising ids, so that what is committed meanwhile comes last and is seen. */
export function createReadVectors(db: Database): ReadVectors {
  return async function* readVectors(space) {
    const { collectionId, model } = readKey(space)
    for (let after = 0; ; ) {
      const rows = await db
        .selectFrom('passages')
        .innerJoin('vectors', 'vectors.passageId', 'passages.id')
        .select(['passages.id', 'vectors.vector'])
        .where('passages.collectionId', '=', collectionId)
        .where('passages.id', '>', after)
        .where('vectors.model', '=', model)
        .orderBy('passages.id')
        .limit(rowsPerPage)
        .execute()
      if (rows.length > 0) yield { ids: rows.map(({ id }) => id), vectors: rows.map(({ vector }) => toVector(vector)) }
      if (rows.length < rowsPerPage) return
      after = rows.at(-1)?.id ?? after
      await pause()
    }
  }
}
