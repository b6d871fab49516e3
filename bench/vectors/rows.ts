import Database from 'better-sqlite3'
import type { VectorBatch } from '../../src/engine/vector-index.ts'
import { type Data, readPieces } from './ours.ts'

/** The vectors as rows of a database file, which is how they are kept: writing them is our `save`. Gives the seconds. */
export async function saveRows(file: string, data: Data): Promise<number> {
  const startedAt = performance.now()
  const db = new Database(file)
  db.pragma('journal_mode = WAL')
  db.exec('create table vectors (passage_id integer primary key, vector blob not null)')
  const insert = db.prepare('insert into vectors (passage_id, vector) values (?, ?)')
  db.exec('begin')
  for await (const { ids, vectors } of readPieces(data))
    for (const [place, id] of ids.entries()) {
      const vector = vectors[place] ?? new Float32Array()
      insert.run(id, Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength))
    }
  db.exec('commit')
  db.close()
  return (performance.now() - startedAt) / 1000
}

/** Reads them again in pieces. */
export async function* readRows(file: string): AsyncGenerator<VectorBatch> {
  const db = new Database(file, { readonly: true })
  const select = db.prepare<[number], Readonly<{ passage_id: number; vector: Buffer }>>(
    'select passage_id, vector from vectors where passage_id > ? order by passage_id limit 500',
  )
  try {
    let last = -1
    for (;;) {
      const rows = select.all(last)
      if (rows.length === 0) return
      last = rows.at(-1)?.passage_id ?? last
      const vectors = rows.map(({ vector }) => new Float32Array(new Uint8Array(vector).buffer))
      yield { ids: rows.map((row) => row.passage_id), vectors }
    }
  } finally {
    db.close()
  }
}
