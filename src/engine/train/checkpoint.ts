import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError, writeBeside } from '../disk.ts'
import { isJsonObject } from '../json-object.ts'

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

/**
 * Two files take turns, each written beside and renamed, so that a whole one is there at any time. A file: the magic, the length of all
 * in bytes (uint64), the length of the header (uint32), the header as JSON, the arrays (float32, little endian), SHA-256 of all before it.
 */
export function createCheckpoints({ folder, fingerprint, write = writeBeside }: CheckpointOptions): Checkpoints {
  const files = ['checkpoint-0.bin', 'checkpoint-1.bin'].map((name) => join(folder, name))
  let newest: number | undefined

  async function readAll() {
    const read = await Promise.all(files.map(async (file) => decode(await readIfThere(file), fingerprint)))
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

async function readIfThere(file: string): Promise<Buffer | undefined> {
  return readFile(file).catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  })
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

function decode(file: Buffer | undefined, fingerprint: string): Checkpoint | undefined {
  if (file === undefined || file.length < prefixBytes + digestBytes || !file.subarray(0, magic.length).equals(magic))
    return undefined
  if (file.readBigUInt64LE(magic.length) !== BigInt(file.length)) return undefined
  const end = file.length - digestBytes
  if (!createHash('sha256').update(file.subarray(0, end)).digest().equals(file.subarray(end))) return undefined
  const dataFrom = prefixBytes + file.readUInt32LE(magic.length + 8)
  const header: unknown = JSON.parse(file.toString('utf8', prefixBytes, dataFrom))
  if (!isHeader(header) || header.fingerprint !== fingerprint) return undefined
  let at = dataFrom
  const arrays = header.lengths.map((length) => {
    const array = new Float32Array(length)
    bytesOf(array).set(file.subarray(at, at + array.byteLength))
    at += array.byteLength
    return array
  })
  return at === end ? { progress: header.progress, arrays } : undefined
}

/** Its digest says that it is as it was written, so this looks at no more than what tells it from other kinds of files. */
function isHeader(value: unknown): value is Readonly<{ fingerprint: string; progress: Progress; lengths: readonly number[] }> {
  return (
    isJsonObject(value) && typeof value.fingerprint === 'string' && isJsonObject(value.progress) && Array.isArray(value.lengths)
  )
}
