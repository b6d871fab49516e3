import { createHash } from 'node:crypto'
import { type FileHandle, open, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError, writeBeside } from '../disk.ts'
import { readWhole } from '../gguf/tensor-floats.ts'
import { isJsonObject } from '../json-object.ts'
import { parseJson } from '../tool-calls-scan.ts'

/** How far a run is, besides its arrays. */
export type Progress = Readonly<{
  /** Updates so far. */
  step: number
  /** Of the epoch under way: the sum of its losses, each times the weight of its update, and of the weights. */
  epochLoss: number
  epochWeight: number
  /** In a row. */
  epochsWithoutBetter: number
  best: Readonly<{ step: number; heldOutLoss: number | undefined }> | undefined
}>

export type Checkpoint = Readonly<{ progress: Progress; arrays: readonly Float32Array[] }>

export interface Checkpoints {
  /** The newest whole one; undefined: there is none. One of another job, or that is torn or changed, is none. */
  find(): Promise<Checkpoint | undefined>
  /** Throws `storage_full`; the one before stays. */
  save(checkpoint: Checkpoint): Promise<void>
}

export type CheckpointOptions = Readonly<{
  folder: string
  /** Of the job: what another one wrote is not for it. */
  fingerprint: string
  write?: typeof writeBeside
}>

const fileNames = ['checkpoint-0.bin', 'checkpoint-1.bin']

/** Whether there is one in the folder, whole or not. */
export async function hasCheckpoint(folder: string): Promise<boolean> {
  const names = await readdir(folder).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return []
    throw error
  })
  return names.some((name) => fileNames.includes(name))
}

/**
 * Two files take turns, each written beside and renamed, so that a whole one is there at any time. A file: the magic, the length of all
 * in bytes (uint64), the length of the header (uint32), the header as JSON, the arrays (float32, little endian), SHA-256 of all before it.
 */
export function createCheckpoints({ folder, fingerprint, write = writeBeside }: CheckpointOptions): Checkpoints {
  const files = fileNames.map((name) => join(folder, name))
  let newest: number | undefined

  async function readAll() {
    const read = await Promise.all(files.map((file) => readCheckpoint(file, fingerprint)))
    return read.flatMap((checkpoint, index) => (checkpoint === undefined ? [] : [{ checkpoint, index }]))
  }
  async function readNewest() {
    const whole = await readAll()
    const last = whole.toSorted((one, other) => other.checkpoint.progress.step - one.checkpoint.progress.step)[0]
    newest = last?.index
    return last?.checkpoint
  }

  return {
    find: readNewest,
    async save(checkpoint) {
      if (newest === undefined) await readNewest()
      const next = newest === 0 ? 1 : 0
      await write(files[next] ?? '', encode(checkpoint, fingerprint))
      newest = next
    },
  }
}

/** Piece by piece: no buffer holds a file of more than 2 GiB. */
async function readCheckpoint(path: string, fingerprint: string): Promise<Checkpoint | undefined> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  })
  try {
    return file && (await decode(file, fingerprint))
  } finally {
    await file?.close()
  }
}

const magic = Buffer.from('SIACKPT1')
const prefixBytes = magic.length + 8 + 4
const digestBytes = 32

async function* encode({ progress, arrays }: Checkpoint, fingerprint: string): AsyncGenerator<Uint8Array> {
  const header = Buffer.from(JSON.stringify({ fingerprint, progress, lengths: arrays.map(({ length }) => length) }))
  const bytes = arrays.reduce((sum, { byteLength }) => sum + byteLength, 0)
  const prefix = Buffer.alloc(prefixBytes)
  magic.copy(prefix)
  prefix.writeBigUInt64LE(BigInt(prefixBytes + header.length + bytes + digestBytes), magic.length)
  prefix.writeUInt32LE(header.length, magic.length + 8)
  const hash = createHash('sha256')
  for (const piece of [prefix, header, ...arrays.map(bytesOf)]) {
    hash.update(piece)
    yield piece
  }
  yield hash.digest()
}

const bytesOf = ({ buffer, byteOffset, byteLength }: Float32Array) => new Uint8Array(buffer, byteOffset, byteLength)

async function decode(file: FileHandle, fingerprint: string): Promise<Checkpoint | undefined> {
  const { size } = await file.stat()
  if (size < prefixBytes + digestBytes) return undefined
  const hash = createHash('sha256')
  let at = 0
  async function next<T extends Uint8Array>(bytes: T): Promise<T> {
    await readWhole(file, bytes, at)
    at += bytes.length
    return bytes
  }
  async function nextHashed<T extends Uint8Array>(bytes: T): Promise<T> {
    hash.update(await next(bytes))
    return bytes
  }
  const prefix = await nextHashed(Buffer.alloc(prefixBytes))
  if (!prefix.subarray(0, magic.length).equals(magic) || prefix.readBigUInt64LE(magic.length) !== BigInt(size)) return undefined
  const headerBytes = prefix.readUInt32LE(magic.length + 8)
  if (prefixBytes + headerBytes + digestBytes > size) return undefined
  const header: unknown = parseJson((await nextHashed(Buffer.alloc(headerBytes))).toString())
  if (!isHeader(header) || header.fingerprint !== fingerprint) return undefined
  const bytes = header.lengths.reduce((sum, length) => sum + length * Float32Array.BYTES_PER_ELEMENT, 0)
  if (at + bytes + digestBytes !== size) return undefined
  const arrays: Float32Array[] = []
  for (const length of header.lengths) {
    const array = new Float32Array(length)
    await nextHashed(bytesOf(array))
    arrays.push(array)
  }
  return hash.digest().equals(await next(Buffer.alloc(digestBytes))) ? { progress: header.progress, arrays } : undefined
}

/** A digest says in the end that it is as it was written, so this looks at no more than what can be read on with. */
function isHeader(value: unknown): value is Readonly<{ fingerprint: string; progress: Progress; lengths: readonly number[] }> {
  return (
    isJsonObject(value) &&
    typeof value.fingerprint === 'string' &&
    isJsonObject(value.progress) &&
    Array.isArray(value.lengths) &&
    value.lengths.every((length) => Number.isSafeInteger(length) && length >= 0)
  )
}
