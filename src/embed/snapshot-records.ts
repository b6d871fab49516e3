import Type, { type Static } from 'typebox'
import { Value } from 'typebox/value'
import type { Database } from '../storage/tables.ts'
import type { Collection } from './collection.ts'
import { pause } from './pause.ts'
import { damaged, type SnapshotRecord } from './snapshot-format.ts'
import { toBytes, toVector } from './vector-rows.ts'

const count = Type.Integer({ minimum: 0 })
const textOrNull = Type.Union([Type.String(), Type.Null()])
const countOrNull = Type.Union([count, Type.Null()])

const header = Type.Object({
  name: Type.String(),
  model: Type.String({ minLength: 1, maxLength: 500 }),
  dimensions: Type.Integer({ minimum: 1, maximum: 65_536 }),
  createdAt: Type.String(),
})
export type SnapshotHeader = Static<typeof header>

const document = Type.Object({
  id: Type.String({ minLength: 1, maxLength: 100 }),
  name: Type.String(),
  source: Type.String(),
  mediaType: Type.String(),
  sha256: Type.String(),
  sizeBytes: count,
  pages: countOrNull,
  createdAt: Type.String(),
  updatedAt: Type.String(),
})
export type SnapshotDocument = Static<typeof document>

const passage = Type.Object({
  itemId: Type.String({ minLength: 1, maxLength: 500 }),
  documentId: textOrNull,
  position: count,
  text: Type.String({ minLength: 1 }),
  metadata: Type.Record(Type.String(), Type.Unknown()),
  page: countOrNull,
  lastPage: countOrNull,
  section: textOrNull,
  startOffset: countOrNull,
  endOffset: countOrNull,
  createdAt: Type.String(),
})
export type SnapshotPassage = Static<typeof passage>

const ending = Type.Object({ documents: count, passages: count })
export type SnapshotEnd = Static<typeof ending>

const lengthBytes = 4
const rowsPerPage = 200

/** Everything that a collection holds, from a database that stands still meanwhile. */
export async function* toRecords(db: Database, collection: Collection, createdAt: string): AsyncGenerator<SnapshotRecord> {
  const { id, name, model, dimensions } = collection
  const counted = { documents: 0, passages: 0 }
  yield { kind: 'header', content: toJson({ name, model, dimensions, createdAt }) }
  for await (const { collectionId: _, ...row } of readDocuments(db, id)) {
    counted.documents += 1
    yield { kind: 'document', content: toJson(row) }
  }
  for await (const row of readPassages(db, collection)) {
    counted.passages += 1
    yield { kind: 'passage', content: row }
  }
  yield { kind: 'end', content: toJson(counted) }
}

async function* readDocuments(db: Database, collectionId: string) {
  for (let after = ''; ; ) {
    const rows = await db
      .selectFrom('documents')
      .selectAll()
      .where('collectionId', '=', collectionId)
      .where('id', '>', after)
      .orderBy('id')
      .limit(rowsPerPage)
      .execute()
    yield* rows
    if (rows.length < rowsPerPage) return
    after = rows.at(-1)?.id ?? after
    await pause()
  }
}

/** A passage without a vector of the model cannot be: both are written in one transaction. */
async function* readPassages(db: Database, { id: collectionId, model }: Collection): AsyncGenerator<Buffer> {
  for (let after = 0; ; ) {
    const rows = await db
      .selectFrom('passages')
      .innerJoin('vectors', 'vectors.passageId', 'passages.id')
      .selectAll('passages')
      .select('vectors.vector')
      .where('passages.collectionId', '=', collectionId)
      .where('passages.id', '>', after)
      .where('vectors.model', '=', model)
      .orderBy('passages.id')
      .limit(rowsPerPage)
      .execute()
    for (const { id, collectionId: _, vector, metadata, ...row } of rows) {
      const json = toJson({ ...row, metadata: JSON.parse(metadata) })
      const length = Buffer.alloc(lengthBytes)
      length.writeUInt32LE(json.length)
      yield Buffer.concat([length, json, toBytes(toVector(vector))])
      after = id
    }
    if (rows.length < rowsPerPage) return
    await pause()
  }
}

const toJson = (value: object) => Buffer.from(JSON.stringify(value))

export const readHeader = (content: Buffer) => read(header, content, 'header')
export const readDocument = (content: Buffer) => read(document, content, 'document')
export const readEnd = (content: Buffer) => read(ending, content, 'end')

/** A passage and its vector of unit length. */
export function readPassage(content: Buffer, dimensions: number): Readonly<{ passage: SnapshotPassage; vector: Float32Array }> {
  const length = content.length < lengthBytes ? -1 : content.readUInt32LE()
  const vectorBytes = content.length - lengthBytes - length
  if (length < 0 || vectorBytes !== dimensions * Float32Array.BYTES_PER_ELEMENT) throw damaged('a vector has a wrong length')
  const vector = toVector(content.subarray(lengthBytes + length))
  // Not exactly: vectors are stored as 32-bit floats. What is no number is no length either.
  if (!(Math.abs(lengthOf(vector) - 1) < 1e-3)) throw damaged('a vector is not of unit length')
  return { passage: read(passage, content.subarray(lengthBytes, lengthBytes + length), 'passage'), vector }
}

const lengthOf = (vector: Float32Array) => Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))

function read<S extends Type.TSchema>(schema: S, content: Buffer, what: string): Static<S> {
  const value = parse(content, what)
  if (!Value.Check(schema, value)) throw damaged(`a record is no ${what}`)
  return value
}

function parse(content: Buffer, what: string): unknown {
  try {
    return JSON.parse(content.toString('utf8'))
  } catch (error) {
    throw damaged(`a ${what} is no JSON (${error instanceof Error ? error.name : 'error'})`)
  }
}
