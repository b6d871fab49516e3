import { Type } from 'typebox'
import { Value } from 'typebox/value'
import { AppError } from '../../errors.ts'
import { bytesOf, type ElementType, elementTypes, isElementType } from './number-formats.ts'

/** One tensor of a checkpoint. `shape` is row-major, as in PyTorch; `start` and `end` are bytes from the beginning of its file. */
export type TensorInfo = Readonly<{
  name: string
  type: ElementType
  shape: readonly number[]
  file: string
  start: number
  end: number
}>

/** The length of the header comes first, as a 64-bit number. */
export const lengthBytes = 8
/** What the format itself allows. */
const maxHeaderBytes = 100_000_000

/**
 * How long the JSON header of a safetensors file is, from the file's first 8 bytes. Throws `invalid` when it cannot be.
 * Format: https://github.com/huggingface/safetensors#format
 */
export function readHeaderLength(file: string, firstBytes: Uint8Array, fileBytes: number): number {
  if (firstBytes.length < lengthBytes)
    throw damaged(file, `it has ${fileBytes} bytes, where 8 for its header's length were expected`)
  const view = new DataView(firstBytes.buffer, firstBytes.byteOffset, lengthBytes)
  const length = view.getBigUint64(0, true)
  const most = Math.min(maxHeaderBytes, fileBytes - lengthBytes)
  if (length >= 2n && length <= BigInt(most)) return Number(length)
  throw damaged(file, `its header should be of 2 to ${most} bytes, but says that it is of ${length}`)
}

/**
 * The tensors that a header lists, in the order of their bytes. Throws `invalid` unless it is JSON whose tensors have known
 * types, whole shapes, and byte ranges that fit them and fill the rest of the file without holes or overlaps.
 */
export function parseHeader(file: string, json: string, fileBytes: number): readonly TensorInfo[] {
  const dataStart = lengthBytes + Buffer.byteLength(json)
  const header = parseObject(file, json)
  const tensors = Object.entries(header)
    .filter(([name]) => name !== '__metadata__')
    .map(([name, entry]) => parseTensor(file, name, entry, dataStart))
    .sort((one, other) => one.start - other.start || one.end - other.end)
  let end = dataStart
  for (const tensor of tensors) {
    if (tensor.start !== end) {
      throw damaged(
        file,
        `tensor "${tensor.name}" should start at byte ${end - dataStart} of the data, but starts at ${tensor.start - dataStart}`,
      )
    }
    end = tensor.end
  }
  if (end === fileBytes) return tensors
  throw damaged(file, `its tensors need ${end} bytes, but the file has ${fileBytes}`)
}

function parseObject(file: string, json: string): object {
  let value: unknown
  try {
    value = JSON.parse(json)
  } catch (error) {
    throw damaged(file, 'its header is not JSON', error)
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw damaged(file, 'its header is not a JSON object')
}

const Count = Type.Integer({ minimum: 0 })
const Entry = Type.Object({ dtype: Type.Unknown(), shape: Type.Array(Count), data_offsets: Type.Tuple([Count, Count]) })

function parseTensor(file: string, name: string, entry: unknown, dataStart: number): TensorInfo {
  const wrong = (what: string) => damaged(file, `tensor "${name.slice(0, 200)}" ${what}`)
  if (!Value.Check(Entry, entry)) {
    throw wrong('should have a dtype, a shape of whole numbers, and two whole numbers as data_offsets')
  }
  const { dtype, shape } = entry
  if (!isElementType(dtype)) {
    const got = String(JSON.stringify(dtype)).slice(0, 50)
    throw wrong(`should have one of the types ${elementTypes.join(', ')}, but has ${got}`)
  }
  const [from, to] = entry.data_offsets
  const bytes = shape.reduce((product, size) => product * size, bytesOf(dtype))
  if (to - from !== bytes) throw wrong(`should have ${bytes} bytes for its shape [${shape}], but has ${to - from}`)
  return { name, type: dtype, shape, file, start: dataStart + from, end: dataStart + to }
}

function damaged(file: string, what: string, cause?: unknown): AppError {
  return new AppError('invalid', `${file} is not a whole safetensors file: ${what}.`, { cause })
}
