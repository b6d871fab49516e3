import { type FileHandle, open } from 'node:fs/promises'
import { AppError } from '../../errors.ts'
import { ggmlTypes } from './ggml-types.ts'
import { type ByteReader, createByteReader, cutOff, readLength } from './gguf-bytes.ts'

// The header of a GGUF file (docs/gguf.md in ggml's repository): keys with values, then a list of tensors. Files come from
// anywhere, so every count is held against the size of the file, and what is kept in memory is bounded.

export type GgufScalar = number | string | boolean
/** An array: its elements where they are few numbers, else only their count. */
export type GgufArray = Readonly<{ length: number; numbers?: readonly number[] }>
export type GgufValue = GgufScalar | GgufArray

export type GgufTensor = Readonly<{
  name: string
  /** Elements per dimension, the fastest first. */
  shape: readonly number[]
  /** The name of ggml for its numbers, such as `Q4_K`. */
  type: string
  elements: number
  bytes: number
  /** From the start of the file. */
  offset: number
}>

/** Where the keys and their values lie in the file, so that they can be copied as they are. */
export type GgufKeys = Readonly<{
  count: number
  /** Bytes from the start of the file, and where the last one ends. */
  start: number
  end: number
  /** Where the value of a key begins, its type first. */
  values: ReadonlyMap<string, number>
}>

export type GgufHeader = Readonly<{
  version: number
  metadata: ReadonlyMap<string, GgufValue>
  keys: GgufKeys
  /** Tensors begin at multiples of so many bytes. */
  alignment: number
  tensors: readonly GgufTensor[]
  fileBytes: number
}>

const mostEntries = 65_536
const longestKey = 65_535
const longestTensorName = 63
const mostDimensions = 4
/** Longer texts, and longer arrays of numbers, are skipped. */
const longestText = 1 << 20
const longestArray = 4096
/** Of all kept keys and texts together. */
const mostTextBytes = 16 << 20

const scalarBytes: Readonly<Record<number, number>> = { 0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8 }
const textType = 8
const arrayType = 9

/**
 * Reads the header of a GGUF file and checks that all of its tensors lie inside the file. Reads no tensor.
 * Throws `invalid` with the reason when the file is none, damaged, or cut off; `not_found` when there is no file.
 */
export async function readGgufHeader(path: string): Promise<GgufHeader> {
  const file = await open(path, 'r').catch((error: unknown) => {
    throw new AppError('not_found', 'The model file cannot be opened.', { cause: error })
  })
  try {
    return await readHeader(file)
  } finally {
    await file.close()
  }
}

async function readHeader(file: FileHandle): Promise<GgufHeader> {
  const found = await file.stat()
  if (!found.isFile()) throw new AppError('invalid', 'The model is not a file.')
  const reader = createByteReader(file, found.size)
  const version = await readVersion(reader)
  const tensorCount = await readCount(reader, 'tensors')
  const keyCount = await readCount(reader, 'keys')
  const { metadata, keys } = await readMetadata(reader, keyCount)
  const alignment = alignmentOf(metadata)
  const tensors = await readTensors(reader, tensorCount, alignment)
  return { version, metadata, keys, alignment, tensors, fileBytes: reader.size }
}

async function readVersion(reader: ByteReader): Promise<number> {
  if (reader.size === 0) throw new AppError('invalid', 'The file is empty.')
  const magic = (await reader.take(Math.min(4, reader.size))).toString('latin1')
  if (magic !== 'GGUF') throw notGguf(magic)
  const version = (await reader.take(4)).readUInt32LE()
  if (version === 2 || version === 3) return version
  const why = (version & 0xffff) === 0 ? 'it is for machines with the other byte order' : `its version is ${version}`
  throw new AppError('invalid', `The file is a GGUF file that cannot be read here: ${why}; expected is version 2 or 3.`)
}

function notGguf(start: string): AppError {
  const isPage = /^\s*[<{]/.test(start)
  const hint = isPage ? ' It looks like a web page or a text: the download went wrong.' : ''
  return new AppError('invalid', `The file is not a GGUF file: it does not begin with "GGUF".${hint}`)
}

async function readCount(reader: ByteReader, what: string): Promise<number> {
  const count = readLength(await reader.take(8))
  if (count <= mostEntries) return count
  throw new AppError('invalid', `The file says that it has more than ${mostEntries} ${what}: it is damaged.`)
}

async function readMetadata(reader: ByteReader, count: number): Promise<Pick<GgufHeader, 'metadata' | 'keys'>> {
  const metadata = new Map<string, GgufValue>()
  const values = new Map<string, number>()
  const start = reader.position()
  let kept = 0
  for (let index = 0; index < count; index += 1) {
    const key = await readText(reader, longestKey, `The name of key ${index + 1}`)
    if (key === '') throw new AppError('invalid', `Key ${index + 1} of the file has no name: the file is damaged.`)
    if (values.has(key)) throw new AppError('invalid', `The file has the key ${quoted(key)} twice.`)
    values.set(key, reader.position())
    const value = await readValue(reader, (await reader.take(4)).readUInt32LE(), key)
    if (value === undefined) continue
    metadata.set(key, value)
    kept += key.length + (typeof value === 'string' ? value.length : 8)
    if (kept > mostTextBytes) throw new AppError('invalid', `The keys of the file hold too much text (from byte ${start}).`)
  }
  return { metadata, keys: { count, start, end: reader.position(), values } }
}

async function readText(reader: ByteReader, longest: number, what: string): Promise<string> {
  const length = readLength(await reader.take(8))
  if (length > reader.remaining()) throw cutOff(reader.size)
  if (length > longest) throw new AppError('invalid', `${what} is longer than ${longest} bytes: the file is damaged.`)
  return (await reader.take(length)).toString('utf8')
}

/** Undefined for a value that is read over. */
async function readValue(reader: ByteReader, type: number, key: string): Promise<GgufValue | undefined> {
  if (type === arrayType) return readArray(reader, key)
  if (type !== textType) return readScalar(await reader.take(bytesOf(type, key)), type)
  const length = readLength(await reader.take(8))
  if (length <= longestText) return (await reader.take(length)).toString('utf8')
  await reader.skip(length)
  return undefined
}

async function readArray(reader: ByteReader, key: string): Promise<GgufArray> {
  const type = (await reader.take(4)).readUInt32LE()
  const length = readLength(await reader.take(8))
  if (type === textType) {
    if (length * 8 > reader.remaining()) throw cutOff(reader.size)
    await reader.skipTexts(length)
    return { length }
  }
  const size = bytesOf(type, key)
  if (length > longestArray) {
    await reader.skip(length * size)
    return { length }
  }
  const bytes = Buffer.from(await reader.take(length * size))
  const numbers = Array.from({ length }, (_, index) => Number(readScalar(bytes.subarray(index * size), type)))
  return { length, numbers }
}

function bytesOf(type: number, key: string): number {
  const size = scalarBytes[type]
  if (size !== undefined) return size
  throw new AppError(
    'invalid',
    `The key ${quoted(key)} of the file has a value of the unknown kind ${type}: the file is damaged.`,
  )
}

function readScalar(bytes: Buffer, type: number): number | boolean {
  switch (type) {
    case 0:
      return bytes.readUInt8()
    case 1:
      return bytes.readInt8()
    case 2:
      return bytes.readUInt16LE()
    case 3:
      return bytes.readInt16LE()
    case 4:
      return bytes.readUInt32LE()
    case 5:
      return bytes.readInt32LE()
    case 6:
      return bytes.readFloatLE()
    case 7:
      return bytes.readUInt8() !== 0
    case 10:
      return Number(bytes.readBigUInt64LE())
    case 11:
      return Number(bytes.readBigInt64LE())
    default:
      return bytes.readDoubleLE()
  }
}

function alignmentOf(metadata: ReadonlyMap<string, GgufValue>): number {
  const alignment = metadata.get('general.alignment') ?? 32
  if (typeof alignment === 'number' && alignment > 0 && alignment <= 1 << 20 && Number.isInteger(Math.log2(alignment)))
    return alignment
  throw new AppError('invalid', 'The key "general.alignment" of the file must be a power of 2.')
}

type Placed = Omit<GgufTensor, 'offset'> & Readonly<{ offsetInData: number }>

async function readTensors(reader: ByteReader, count: number, alignment: number): Promise<readonly GgufTensor[]> {
  const names = new Set<string>()
  const placed: Placed[] = []
  for (let index = 0; index < count; index += 1) {
    const tensor = await readTensor(reader, index)
    if (names.has(tensor.name)) throw new AppError('invalid', `The file has the tensor ${quoted(tensor.name)} twice.`)
    names.add(tensor.name)
    placed.push(tensor)
  }
  const dataStart = Math.ceil(reader.position() / alignment) * alignment
  return placed.map(({ offsetInData, ...tensor }) => {
    if (offsetInData % alignment !== 0)
      throw new AppError('invalid', `The tensor ${quoted(tensor.name)} does not lie at a multiple of ${alignment} bytes.`)
    const offset = dataStart + offsetInData
    if (offset + tensor.bytes <= reader.size) return { ...tensor, offset }
    throw new AppError(
      'invalid',
      `The file has ${reader.size} bytes, but its tensor ${quoted(tensor.name)} ends at byte ${offset + tensor.bytes}: it is cut off. Download it again.`,
    )
  })
}

async function readTensor(reader: ByteReader, index: number): Promise<Placed> {
  const name = await readText(reader, longestTensorName, `The name of tensor ${index + 1}`)
  const dimensions = (await reader.take(4)).readUInt32LE()
  if (dimensions > mostDimensions)
    throw new AppError('invalid', `The tensor ${quoted(name)} has ${dimensions} dimensions, more than ${mostDimensions}.`)
  const sizes = await reader.take(8 * dimensions)
  const shape = Array.from({ length: dimensions }, (_, at) => readLength(sizes, at * 8))
  const number = (await reader.take(4)).readUInt32LE()
  const type = ggmlTypes.get(number)
  if (type === undefined)
    throw new AppError('invalid', `The tensor ${quoted(name)} has numbers of kind ${number}, which this version does not know.`)
  const elements = shape.reduce((product, size) => product * size, 1)
  const bytes = (elements / type.blockSize) * type.blockBytes
  const offsetInData = readLength(await reader.take(8))
  if (!Number.isSafeInteger(bytes) || !Number.isSafeInteger(offsetInData + bytes) || (shape[0] ?? 1) % type.blockSize !== 0)
    throw new AppError('invalid', `The tensor ${quoted(name)} has an impossible size (${shape.join(' × ')}, ${type.name}).`)
  return { name, shape, type: type.name, elements, bytes, offsetInData }
}

const quoted = (name: string) => JSON.stringify(name.slice(0, 100))
