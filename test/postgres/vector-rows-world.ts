import { join } from 'node:path'
import { sql } from 'kysely'
import { createPostgresVectorIndex, type PostgresVectorIndexParts } from '../../src/embed/postgres-vector-index.ts'
import { spaceOf, toVectorText } from '../../src/embed/vector-rows.ts'
import type { VectorSpace } from '../../src/engine/vector-index.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import type { Database } from '../../src/storage/tables.ts'
import type { IndexedRows } from '../vector-index-contract.ts'
import { databaseAt } from './database-at.ts'

export type VectorRowsOptions = Partial<PostgresVectorIndexParts> & Readonly<{ dimensions: number; name: string }>

export type VectorRowsWorld = IndexedRows & Readonly<{ db: Database; openIndex: () => IndexedRows['index'] }>

let opened = 0

/** Collections in a database of their own with rows that hold nothing but vectors, and the index over them. */
export async function openVectorRows({ dimensions, name, ...options }: VectorRowsOptions): Promise<VectorRowsWorld> {
  opened += 1
  const { db, close } = await openStorage({ url: await databaseAt(join('vector-rows', name, String(opened))) })
  const spaces = ['one', 'two'].map((id) => spaceOf({ id, model: "it's", dimensions }))
  const [space, other] = spaces
  if (space === undefined || other === undefined) throw new Error('unreachable')
  for (const id of ['one', 'two'])
    await db
      .insertInto('collections')
      .values({
        id,
        name: id,
        model: "it's",
        dimensions,
        isShared: 0,
        ownerId: null,
        nextModel: null,
        createdAt: '',
        updatedAt: '',
      })
      .execute()
  const openIndex = () => createPostgresVectorIndex({ db, now: Date.now, maxWaiting: 64, lookAgainMs: 0, ...options })
  const index = openIndex()
  return {
    db,
    index,
    openIndex,
    space,
    other,
    write: (where, vectors) => write(db, where, vectors),
    erase: async (_, ids) => void (await db.deleteFrom('passages').where('id', 'in', ids).execute()),
    async close() {
      await index.close()
      await close()
    },
  }
}

async function write(db: Database, space: VectorSpace, vectors: ReadonlyMap<number, Float32Array>): Promise<void> {
  const [collectionId = '', model = ''] = space.key.split(':')
  const all = [...vectors]
  for (let from = 0; from < all.length; from += 1000) {
    const some = all.slice(from, from + 1000)
    const ids = some.map(([id]) => id)
    await db.deleteFrom('passages').where('id', 'in', ids).execute()
    await sql`insert into passages (id, collection_id, item_id, position, text, metadata, created_at)
      select id, ${collectionId}, id::text, 0, 'x', '{}', '' from unnest(${ids}::bigint[]) as given(id)`.execute(db)
    await sql`insert into vectors (passage_id, model, vector)
      select id, ${model}, vector::vector
      from unnest(${ids}::bigint[], ${some.map(([, vector]) => toVectorText(vector))}::text[]) as given(id, vector)`.execute(db)
  }
}
