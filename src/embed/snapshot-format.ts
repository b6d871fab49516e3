import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { AppError } from '../errors.ts'

/**
 * A snapshot is one file:
 *
 *     "simpleIA snapshot 1\n"                         20 bytes, the version among them
 *     records: kind (1 byte), length (4 bytes, little-endian), content
 *     SHA-256 of everything before it                 32 bytes
 *
 * Kinds, in this order: one header, documents, passages, one end. All are JSON in UTF-8; in a passage the JSON has 4 bytes with its
 * length before it, and the vector after it, as 32-bit floats, little-endian. Numbers in the file are checked against what is there,
 * and never decide how much memory is taken.
 */
export const magic = Buffer.from('simpleIA snapshot 1\n')
export const digestBytes = 32
const headBytes = 5
/** A text of the greatest length that is taken, in UTF-8, with its metadata and vector, is smaller. */
const longestRecord = 16 * 1024 * 1024
const pieceBytes = 256 * 1024

export const recordKinds = { header: 1, document: 2, passage: 3, end: 4 } as const
export type RecordKind = keyof typeof recordKinds
export type SnapshotRecord = Readonly<{ kind: RecordKind; content: Buffer }>

/** Writes the records to the file in pieces, then their checksum, and forces all to disk. Gives the size and the checksum in hex. */
export async function writeRecords(
  file: FileHandle,
  records: AsyncIterable<SnapshotRecord>,
): Promise<Readonly<{ sizeBytes: number; sha256: string }>> {
  const hash = createHash('sha256')
  let waiting: Buffer[] = [magic]
  let waitingBytes = magic.length
  let sizeBytes = 0
  async function flush(): Promise<void> {
    const piece = Buffer.concat(waiting)
    waiting = []
    waitingBytes = 0
    hash.update(piece)
    await writeWhole(file, piece)
    sizeBytes += piece.length
  }
  for await (const { kind, content } of records) {
    if (content.length > longestRecord) throw new AppError('too_large', 'A passage is too long for a snapshot.')
    const head = Buffer.alloc(headBytes)
    head.writeUInt8(recordKinds[kind], 0)
    head.writeUInt32LE(content.length, 1)
    waiting.push(head, content)
    waitingBytes += headBytes + content.length
    if (waitingBytes >= pieceBytes) await flush()
  }
  await flush()
  const digest = hash.digest()
  await writeWhole(file, digest)
  await file.sync()
  return { sizeBytes: sizeBytes + digest.length, sha256: digest.toString('hex') }
}

async function writeWhole(file: FileHandle, bytes: Buffer): Promise<void> {
  for (let from = 0; from < bytes.length; ) {
    const { bytesWritten } = await file.write(bytes, from)
    from += bytesWritten
  }
}

/**
 * Throws `invalid` when the file does not begin as a snapshot does, or is not what was written, to the last byte, and `conflict` for
 * one of another version.
 */
export async function checkWhole(file: FileHandle): Promise<void> {
  const { size } = await file.stat()
  if (size < magic.length + digestBytes) throw damaged('it is too short')
  const hash = createHash('sha256')
  const piece = Buffer.alloc(pieceBytes)
  for (let from = 0; from < size - digestBytes; ) {
    const { bytesRead } = await file.read(piece, 0, Math.min(piece.length, size - digestBytes - from), from)
    if (bytesRead === 0) throw damaged('it became shorter while it was read')
    if (from === 0) checkMagic(piece.subarray(0, bytesRead))
    hash.update(piece.subarray(0, bytesRead))
    from += bytesRead
  }
  const digest = Buffer.alloc(digestBytes)
  await file.read(digest, 0, digestBytes, size - digestBytes)
  if (!hash.digest().equals(digest)) throw damaged('its checksum does not fit')
}

function checkMagic(beginning: Buffer): void {
  if (beginning.subarray(0, magic.length).equals(magic)) return
  const family = magic.subarray(0, -2)
  if (!beginning.subarray(0, family.length).equals(family)) throw damaged('it is no snapshot of simpleIA')
  throw new AppError('conflict', 'The snapshot was written by another version of simpleIA, which this one cannot read.')
}

/** The records of a file that is whole. Throws `invalid` for lengths that lead out of it and kinds that do not exist. */
export async function* readRecords(file: FileHandle): AsyncGenerator<SnapshotRecord> {
  const end = (await file.stat()).size - digestBytes
  const read = createReader(file, end)
  for (let at = magic.length; at < end; ) {
    const head = await read(at, headBytes)
    const kind = kindOf(head.readUInt8(0))
    const length = head.readUInt32LE(1)
    at += headBytes
    if (length > longestRecord || length > end - at) throw damaged(`a record says that it has ${length} bytes`)
    yield { kind, content: await read(at, length) }
    at += length
  }
}

function kindOf(number: number): RecordKind {
  for (const kind of ['header', 'document', 'passage', 'end'] as const) if (recordKinds[kind] === number) return kind
  throw damaged(`a record is of the kind ${number}, which does not exist`)
}

/** Reads parts of a file that follow each other, through one piece of it. What it gives is a copy. */
function createReader(file: FileHandle, end: number) {
  const piece = Buffer.alloc(pieceBytes)
  let pieceStart = 0
  let pieceLength = 0
  return async (from: number, length: number): Promise<Buffer> => {
    if (from + length > end) throw damaged('it ends in the middle of a record')
    const part = Buffer.alloc(length)
    for (let done = 0; done < length; ) {
      const at = from + done - pieceStart
      if (at < 0 || at >= pieceLength) {
        pieceStart = from + done
        pieceLength = (await file.read(piece, 0, Math.min(piece.length, end - pieceStart), pieceStart)).bytesRead
        if (pieceLength === 0) throw damaged('it became shorter while it was read')
        continue
      }
      done += piece.copy(part, done, at, Math.min(pieceLength, at + length - done))
    }
    return part
  }
}

/** Why a file is not taken. */
export function damaged(reason: string): AppError {
  return new AppError('invalid', `The snapshot is damaged: ${reason}. Nothing was changed.`)
}
