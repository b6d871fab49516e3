import { createHash } from 'node:crypto'
import { magic, type RecordKind, recordKinds } from '../../src/embed/snapshot-format.ts'

const time = '2026-01-01T00:00:00.000Z'
export const snapshotDimensions = 4

/** A snapshot of one document and two passages; `change` sees the content of each record. */
export function snapshotBytes(change: (content: Buffer) => Buffer = (content) => content): Buffer {
  const record = (kind: RecordKind, content: Buffer) => {
    const changed = change(content)
    const head = Buffer.alloc(5)
    head.writeUInt8(recordKinds[kind], 0)
    head.writeUInt32LE(changed.length, 1)
    return Buffer.concat([head, changed])
  }
  const ids = { id: 'd', name: 'A', source: 'a.txt', mediaType: 'text/plain', sha256: '0'.repeat(64) }
  const whole = Buffer.concat([
    magic,
    record('header', json({ name: 'fuzzed', model: 'words', dimensions: snapshotDimensions, createdAt: time })),
    record('document', json({ ...ids, sizeBytes: 3, pages: null, createdAt: time, updatedAt: time })),
    record('passage', passage('one', 'd')),
    record('passage', passage('two', null)),
    record('end', json({ documents: 1, passages: 2 })),
  ])
  return Buffer.concat([whole, createHash('sha256').update(whole).digest()])
}

const json = (value: object) => Buffer.from(JSON.stringify(value))

function passage(itemId: string, documentId: string | null): Buffer {
  const places = { page: null, lastPage: null, section: null, startOffset: null, endOffset: null }
  const text = json({ itemId, documentId, position: 0, text: 'words', metadata: { a: 1 }, ...places, createdAt: time })
  const length = Buffer.alloc(4)
  length.writeUInt32LE(text.length)
  return Buffer.concat([length, text, Buffer.from(Float32Array.from([1, 0, 0, 0]).buffer)])
}
