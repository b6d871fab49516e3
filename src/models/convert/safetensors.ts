import { type FileHandle, open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { isSystemError } from '../../engine/disk.ts'
import { AppError } from '../../errors.ts'
import { decodeFloats } from './number-formats.ts'
import { lengthBytes, parseHeader, readHeaderLength, type TensorInfo } from './safetensors-header.ts'

export type { TensorInfo } from './safetensors-header.ts'

/** The tensors of a checkpoint folder. Only headers are kept in memory. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, TensorInfo>
  /** Throws `invalid` when the checkpoint has no tensor of this name. */
  get(name: string): TensorInfo
  /** The bytes of a tensor, or those from `start` to `end` within it, in a buffer of their own. */
  readBytes(tensor: TensorInfo, start?: number, end?: number): Promise<Uint8Array<ArrayBuffer>>
  /** The whole tensor as 32-bit floats, row by row. */
  readFloats(tensor: TensorInfo): Promise<Float32Array>
  close(): Promise<void>
}

const singleFile = 'model.safetensors'
const indexFile = `${singleFile}.index.json`
const maxIndexBytes = 100_000_000
const maxShards = 1000
/** One read of the system takes less than 2 GiB. */
const readBytesAtOnce = 1 << 26

/**
 * Opens `model.safetensors`, or the shards that `model.safetensors.index.json` lists. Throws `not_found` when the folder has
 * neither, `invalid` when a file is not whole.
 */
export async function openCheckpoint(folder: string): Promise<Checkpoint> {
  const shards = await findShards(folder)
  const files = new Map<string, FileHandle>()
  const close = async () => {
    for (const file of files.values()) await file.close()
  }
  try {
    const tensors = new Map<string, TensorInfo>()
    for (const name of shards.files) {
      const file = await openShard(folder, name)
      files.set(name, file)
      for (const tensor of await listTensors(file, name)) {
        if (tensors.has(tensor.name)) throw new AppError('invalid', `Tensor "${tensor.name}" is in ${name} and in another file.`)
        tensors.set(tensor.name, tensor)
      }
    }
    checkPlaces(shards.places, tensors)
    return createCheckpoint(tensors, files, close)
  } catch (error) {
    await close()
    throw error
  }
}

function createCheckpoint(
  tensors: ReadonlyMap<string, TensorInfo>,
  files: ReadonlyMap<string, FileHandle>,
  close: () => Promise<void>,
): Checkpoint {
  async function readBytes(tensor: TensorInfo, start = 0, end = tensor.end - tensor.start): Promise<Uint8Array<ArrayBuffer>> {
    const file = files.get(tensor.file)
    if (file === undefined) throw new AppError('internal', `${tensor.file} is not open.`)
    return readRange(file, tensor.file, tensor.start + start, tensor.start + end)
  }
  return {
    tensors,
    get(name) {
      const tensor = tensors.get(name)
      if (tensor !== undefined) return tensor
      throw new AppError('invalid', `The checkpoint has no tensor "${name}".`)
    },
    readBytes,
    readFloats: async (tensor) => decodeFloats(await readBytes(tensor), tensor.type),
    close,
  }
}

type Shards = Readonly<{ files: readonly string[] /** Which file a tensor should be in. */; places: ReadonlyMap<string, string> }>

async function findShards(folder: string): Promise<Shards> {
  const index = await findText(join(folder, indexFile))
  // A folder with both holds the whole model in the single file, and an index that was left over.
  if (index === undefined || (await exists(join(folder, singleFile)))) return { files: [singleFile], places: new Map() }
  const places = parseIndex(index)
  const files = [...new Set(places.values())].sort()
  if (files.length > maxShards)
    throw new AppError('invalid', `${indexFile} names ${files.length} files; at most ${maxShards} are read.`)
  return { files, places }
}

/** Which file each tensor is in. A file is a plain name: nothing outside the folder is opened. */
function parseIndex(json: string): ReadonlyMap<string, string> {
  const places = new Map<string, string>()
  for (const [tensor, file] of Object.entries(weightMapOf(json))) {
    if (typeof file !== 'string' || !/^[\w-][\w.-]*\.safetensors$/.test(file)) {
      throw new AppError(
        'invalid',
        `${indexFile} should name a safetensors file of the folder for "${tensor}", but has ${JSON.stringify(file)}.`,
      )
    }
    places.set(tensor, file)
  }
  if (places.size > 0) return places
  throw new AppError('invalid', `${indexFile} names no files.`)
}

function weightMapOf(json: string): object {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw new AppError('invalid', `${indexFile} is not JSON.`, { cause: error })
  }
  if (typeof value === 'object' && value !== null && 'weight_map' in value && typeof value.weight_map === 'object') {
    return value.weight_map ?? {}
  }
  throw new AppError('invalid', `${indexFile} should have an object "weight_map".`)
}

function checkPlaces(places: Shards['places'], tensors: ReadonlyMap<string, TensorInfo>): void {
  for (const [name, file] of places) {
    if (tensors.get(name)?.file === file) continue
    throw new AppError('invalid', `${indexFile} says that "${name}" is in ${file}, but it is not.`)
  }
}

async function openShard(folder: string, name: string): Promise<FileHandle> {
  try {
    return await open(join(folder, name), 'r')
  } catch (error) {
    if (!isSystemError(error, 'ENOENT')) throw error
    throw new AppError('not_found', `The checkpoint folder has no ${name}.`, { cause: error })
  }
}

async function listTensors(file: FileHandle, name: string): Promise<readonly TensorInfo[]> {
  const status = await file.stat()
  if (!status.isFile()) throw new AppError('invalid', `${name} is not a file.`)
  const first = await readRange(file, name, 0, Math.min(lengthBytes, status.size))
  const length = readHeaderLength(name, first, status.size)
  const header = await readRange(file, name, lengthBytes, lengthBytes + length)
  return parseHeader(name, decodeUtf8(header, name), status.size)
}

function decodeUtf8(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch (error) {
    throw new AppError('invalid', `${file} is not a whole safetensors file: its header is not UTF-8.`, { cause: error })
  }
}

async function readRange(file: FileHandle, name: string, start: number, end: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(end - start)
  for (let filled = 0; filled < bytes.length; ) {
    const length = Math.min(bytes.length - filled, readBytesAtOnce)
    const { bytesRead } = await file.read(bytes, filled, length, start + filled)
    if (bytesRead === 0) throw new AppError('invalid', `${name} became shorter while it was read.`)
    filled += bytesRead
  }
  return bytes
}

async function exists(path: string): Promise<boolean> {
  const file = await open(path, 'r').catch(() => undefined)
  await file?.close()
  return file !== undefined
}

async function findText(path: string): Promise<string | undefined> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  })
  if (file === undefined) return undefined
  try {
    const { size } = await file.stat()
    if (size > maxIndexBytes) throw new AppError('invalid', `${path} is too large: ${size} bytes.`)
    return await readFile(file, 'utf8')
  } finally {
    await file.close()
  }
}
