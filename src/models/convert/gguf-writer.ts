import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError } from '../../errors.ts'
import { freeBytes, toDiskError } from '../verified-file.ts'

// The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3, little-endian.

/** The format's number of a type, and the bytes of one value. */
const numberTypes = {
  uint8: { id: 0, bytes: 1 },
  int8: { id: 1, bytes: 1 },
  uint16: { id: 2, bytes: 2 },
  int16: { id: 3, bytes: 2 },
  uint32: { id: 4, bytes: 4 },
  int32: { id: 5, bytes: 4 },
  float32: { id: 6, bytes: 4 },
  uint64: { id: 10, bytes: 8 },
  int64: { id: 11, bytes: 8 },
  float64: { id: 12, bytes: 8 },
} as const
const boolType = 7
const stringType = 8
const arrayType = 9

export type GgufNumberType = keyof typeof numberTypes

type Scalar =
  | Readonly<{ type: Exclude<GgufNumberType, 'uint64' | 'int64'>; value: number }>
  | Readonly<{ type: 'uint64' | 'int64'; value: bigint }>
  | Readonly<{ type: 'bool'; value: boolean }>
  | Readonly<{ type: 'string'; value: string }>

/** The elements of an array are all of one type. */
export type GgufValue =
  | Scalar
  | Readonly<{ type: 'array'; of: Exclude<GgufNumberType, 'uint64' | 'int64'>; values: ArrayLike<number> }>
  | Readonly<{ type: 'array'; of: 'uint64' | 'int64'; values: readonly bigint[] }>
  | Readonly<{ type: 'array'; of: 'bool'; values: readonly boolean[] }>
  | Readonly<{ type: 'array'; of: 'string'; values: readonly string[] }>

export type Metadata = ReadonlyMap<string, GgufValue>

/** ggml's number and the bytes of one element. */
const tensorTypes = {
  F32: { id: 0, bytes: 4 },
  F16: { id: 1, bytes: 2 },
  BF16: { id: 30, bytes: 2 },
  I32: { id: 26, bytes: 4 },
} as const

/**
 * A tensor to write. `shape` is row-major, as in PyTorch (the file has it the other way round). `produce` gives its bytes in
 * order, in pieces of any size, once; it is called when the tensors before it are written.
 */
export type GgufTensor = Readonly<{
  name: string
  type: keyof typeof tensorTypes
  shape: readonly number[]
  produce(): AsyncIterable<Uint8Array>
}>

/** Told after each tensor; `bytes` is the size of the file so far. */
export type TensorWritten = Readonly<{ type: 'tensor-written'; done: number; total: number; bytes: number }>

export type GgufFile = Readonly<{ target: string; metadata: Metadata; tensors: readonly GgufTensor[] }>

/** Where tensors start in the file: at multiples of this. */
const alignment = 32
const magic = 'GGUF'
const version = 3
/** More is no file that llama.cpp reads (GGML_MAX_NAME, GGML_MAX_DIMS). */
const maxNameBytes = 63
const maxDimensions = 4

/**
 * Writes a GGUF file beside its place (`target.part`), tensor by tensor, forces it to the disk and puts it in place. At no
 * moment is more in memory than what `produce` gives at once. On failure nothing remains. Throws `invalid` for a tensor that
 * llama.cpp could not read or that gives other bytes than its shape needs, `storage_full` when the disk is full, `aborted`.
 */
export async function writeGguf(gguf: GgufFile, report: (event: TensorWritten) => void, signal?: AbortSignal): Promise<void> {
  const { target } = gguf
  const head = encodeHead(gguf)
  const part = `${target}.part`
  const needed = gguf.tensors.reduce((sum, tensor) => sum + aligned(sizeOf(tensor)), head.length)
  try {
    await checkSpace(dirname(target), needed)
    const file = await open(part, 'w')
    try {
      await writeAll(file, head)
      await writeTensors(file, gguf.tensors, head.length, report, signal)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(part, target)
    await syncFolder(dirname(target))
  } catch (error) {
    await rm(part, { force: true })
    throw toDiskError(error, dirname(target))
  }
}

async function checkSpace(folder: string, needed: number): Promise<void> {
  const free = await freeBytes(folder)
  if (free >= needed) return
  throw new AppError(
    'storage_full',
    `The file needs ${needed} bytes, but the disk of ${folder} has ${free} free. Free some space and start again.`,
  )
}

async function writeTensors(
  file: FileHandle,
  tensors: readonly GgufTensor[],
  headBytes: number,
  report: (event: TensorWritten) => void,
  signal: AbortSignal | undefined,
): Promise<void> {
  let bytes = headBytes
  for (const [index, tensor] of tensors.entries()) {
    const expected = sizeOf(tensor)
    let written = 0
    for await (const piece of tensor.produce()) {
      if (signal?.aborted) throw new AppError('aborted', 'Writing the model was stopped.')
      written += piece.length
      if (written > expected) break
      await writeAll(file, piece)
    }
    if (written !== expected) {
      throw new AppError('invalid', `Tensor "${tensor.name}" should be of ${expected} bytes, but gave ${written} or more.`)
    }
    await writeAll(file, new Uint8Array(aligned(expected) - expected))
    bytes += aligned(expected)
    report({ type: 'tensor-written', done: index + 1, total: tensors.length, bytes })
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    // One write of the system takes less than 2 GiB.
    const { bytesWritten } = await file.write(bytes, written, Math.min(bytes.length - written, 1 << 26))
    written += bytesWritten
  }
}

/** A renamed file is only sure to be found under its new name once its folder is on the disk. */
async function syncFolder(folder: string): Promise<void> {
  // Windows can't open folders, and does this by itself.
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Everything before the first tensor's bytes, up to the alignment. */
function encodeHead({ metadata, tensors }: GgufFile): Uint8Array {
  const output = createOutput()
  output.bytes(Buffer.from(magic))
  output.number('uint32', version)
  output.number('uint64', BigInt(tensors.length))
  output.number('uint64', BigInt(metadata.size))
  for (const [key, value] of metadata) {
    output.text(key)
    encodeValue(output, value)
  }
  let offset = 0
  const names = new Set<string>()
  for (const tensor of tensors) {
    if (names.has(tensor.name)) throw new AppError('invalid', `Two tensors are called "${tensor.name}".`)
    names.add(tensor.name)
    encodeTensorInfo(output, tensor, offset)
    offset += aligned(sizeOf(tensor))
  }
  return output.end()
}

function encodeValue(output: Output, value: GgufValue): void {
  if (value.type !== 'array') {
    output.number('uint32', typeNumber(value.type))
    output.scalar(value.type, value.value)
    return
  }
  output.number('uint32', arrayType)
  output.number('uint32', typeNumber(value.of))
  output.number('uint64', BigInt(value.values.length))
  for (let index = 0; index < value.values.length; index += 1) output.scalar(value.of, value.values[index])
}

function encodeTensorInfo(output: Output, { name, type, shape }: GgufTensor, offset: number): void {
  const whole = shape.length > 0 && shape.length <= maxDimensions && shape.every((size) => Number.isSafeInteger(size) && size > 0)
  if (!whole)
    throw new AppError('invalid', `Tensor "${name}" should have 1 to ${maxDimensions} sizes above 0, but has [${shape}].`)
  if (Buffer.byteLength(name) > maxNameBytes)
    throw new AppError('invalid', `The tensor name "${name}" is longer than ${maxNameBytes} bytes.`)
  output.text(name)
  output.number('uint32', shape.length)
  for (const size of shape.toReversed()) output.number('uint64', BigInt(size))
  output.number('uint32', tensorTypes[type].id)
  output.number('uint64', BigInt(offset))
}

function sizeOf({ type, shape }: GgufTensor): number {
  return shape.reduce((product, size) => product * size, tensorTypes[type].bytes)
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment
}

function typeNumber(type: GgufNumberType | 'bool' | 'string'): number {
  if (type === 'bool') return boolType
  return type === 'string' ? stringType : numberTypes[type].id
}

type Output = ReturnType<typeof createOutput>

/** A buffer that grows: a vocabulary's metadata are some ten megabytes in millions of small values. */
function createOutput() {
  let buffer = Buffer.alloc(1 << 16)
  let length = 0

  /** Where to write so many bytes. */
  function reserve(count: number): number {
    if (length + count > buffer.length) {
      const larger = Buffer.alloc(Math.max(buffer.length * 2, length + count))
      buffer.copy(larger, 0, 0, length)
      buffer = larger
    }
    length += count
    return length - count
  }

  function number(type: GgufNumberType, value: number | bigint): void {
    const at = reserve(numberTypes[type].bytes)
    switch (type) {
      case 'uint8':
        return void buffer.writeUInt8(Number(value), at)
      case 'int8':
        return void buffer.writeInt8(Number(value), at)
      case 'uint16':
        return void buffer.writeUInt16LE(Number(value), at)
      case 'int16':
        return void buffer.writeInt16LE(Number(value), at)
      case 'uint32':
        return void buffer.writeUInt32LE(Number(value), at)
      case 'int32':
        return void buffer.writeInt32LE(Number(value), at)
      case 'float32':
        return void buffer.writeFloatLE(Number(value), at)
      case 'uint64':
        return void buffer.writeBigUInt64LE(BigInt(value), at)
      case 'int64':
        return void buffer.writeBigInt64LE(BigInt(value), at)
      case 'float64':
        return void buffer.writeDoubleLE(Number(value), at)
    }
  }

  function bytes(values: Uint8Array): void {
    const at = reserve(values.length)
    buffer.set(values, at)
  }

  function text(value: string): void {
    const encoded = Buffer.from(value)
    number('uint64', BigInt(encoded.length))
    bytes(encoded)
  }

  return {
    number,
    text,
    bytes,
    scalar(type: GgufNumberType | 'bool' | 'string', value: unknown): void {
      if (type === 'string' && typeof value === 'string') text(value)
      else if (type === 'bool' && typeof value === 'boolean') number('uint8', Number(value))
      else if (type !== 'string' && type !== 'bool' && (typeof value === 'number' || typeof value === 'bigint'))
        number(type, value)
      else throw new AppError('internal', `A metadata value of type ${type} is ${typeof value}.`)
    },
    end(): Uint8Array {
      bytes(new Uint8Array(aligned(length) - length))
      return buffer.subarray(0, length)
    },
  }
}
