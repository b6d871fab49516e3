import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError } from '../../errors.ts'
import { freeBytes, toDiskError, writeBeside } from '../disk.ts'
import { ggmlTypes } from './ggml-types.ts'
import { createGgufOutput, type GgufOutput, type GgufValue } from './gguf-output.ts'

export type { GgufValue } from './gguf-output.ts'

// The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3, little-endian.

export type Metadata = ReadonlyMap<string, GgufValue>

/** Keys with values as another file has them. */
export type RawMetadata = Readonly<{ count: number; bytes: Uint8Array; alignment: number }>

/** ggml's number of each type of numbers, and how they lie in a file. */
const tensorTypes = new Map([...ggmlTypes].map(([id, type]) => [type.name, { ...type, id }]))

/**
 * A tensor to write. `shape` is row-major, as in PyTorch (the file has it the other way round). `produce` gives its bytes in
 * order, in pieces of any size, once; it is called when the tensors before it are written.
 */
export type GgufTensor = Readonly<{
  name: string
  /** ggml's name for its numbers, such as `F16` or `Q4_K`. */
  type: string
  shape: readonly number[]
  produce(): AsyncIterable<Uint8Array>
}>

/** Told after each tensor; `bytes` is the size of the file so far. */
export type TensorWritten = Readonly<{ type: 'tensor-written'; done: number; total: number; bytes: number }>

export type GgufFile = Readonly<{ target: string; metadata: Metadata | RawMetadata; tensors: readonly GgufTensor[] }>

/** Where tensors start in the file, where its keys do not say otherwise: at multiples of this. */
const usualAlignment = 32
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
  const { target, tensors } = gguf
  const alignment = 'alignment' in gguf.metadata ? gguf.metadata.alignment : usualAlignment
  const head = encodeHead(gguf, alignment)
  await checkSpace(
    dirname(target),
    tensors.reduce((sum, tensor) => sum + aligned(sizeOf(tensor), alignment), head.length),
  )
  await writeBeside(target, encodeFile({ head, tensors, alignment }, report), signal)
}

async function checkSpace(folder: string, needed: number): Promise<void> {
  const free = await makeAndAsk(folder)
  if (free >= needed) return
  throw new AppError(
    'storage_full',
    `The file needs ${needed} bytes, but the disk of ${folder} has ${free} free. Free some space and start again.`,
  )
}

async function makeAndAsk(folder: string): Promise<number> {
  try {
    await mkdir(folder, { recursive: true })
    return await freeBytes(folder)
  } catch (error) {
    throw toDiskError(error, folder)
  }
}

type FileParts = Readonly<{ head: Uint8Array; tensors: readonly GgufTensor[]; alignment: number }>

async function* encodeFile(
  { head, tensors, alignment }: FileParts,
  report: (event: TensorWritten) => void,
): AsyncGenerator<Uint8Array> {
  yield head
  let bytes = head.length
  for (const [index, tensor] of tensors.entries()) {
    const expected = sizeOf(tensor)
    let written = 0
    for await (const piece of tensor.produce()) {
      written += piece.length
      if (written > expected) break
      yield piece
    }
    if (written !== expected) {
      throw new AppError('invalid', `Tensor "${tensor.name}" should be of ${expected} bytes, but gave ${written} or more.`)
    }
    const whole = aligned(expected, alignment)
    yield new Uint8Array(whole - expected)
    bytes += whole
    report({ type: 'tensor-written', done: index + 1, total: tensors.length, bytes })
  }
}

/** Everything before the first tensor's bytes, up to the alignment. */
function encodeHead({ metadata, tensors }: GgufFile, alignment: number): Uint8Array {
  const output = createGgufOutput()
  output.bytes(Buffer.from(magic))
  output.number('uint32', version)
  output.number('uint64', BigInt(tensors.length))
  encodeMetadata(output, metadata)
  let offset = 0
  const names = new Set<string>()
  for (const tensor of tensors) {
    if (names.has(tensor.name)) throw new AppError('invalid', `Two tensors are called "${tensor.name}".`)
    names.add(tensor.name)
    encodeTensorInfo(output, tensor, offset)
    offset += aligned(sizeOf(tensor), alignment)
  }
  output.bytes(new Uint8Array(aligned(output.length(), alignment) - output.length()))
  return output.written()
}

function encodeMetadata(output: GgufOutput, metadata: GgufFile['metadata']): void {
  if ('bytes' in metadata) {
    output.number('uint64', BigInt(metadata.count))
    output.bytes(metadata.bytes)
    return
  }
  output.number('uint64', BigInt(metadata.size))
  for (const [key, value] of metadata) {
    output.text(key)
    output.value(value)
  }
}

function encodeTensorInfo(output: GgufOutput, { name, type, shape }: GgufTensor, offset: number): void {
  const whole = shape.length > 0 && shape.length <= maxDimensions && shape.every((size) => Number.isSafeInteger(size) && size > 0)
  if (!whole)
    throw new AppError('invalid', `Tensor "${name}" should have 1 to ${maxDimensions} sizes above 0, but has [${shape}].`)
  if (Buffer.byteLength(name) > maxNameBytes)
    throw new AppError('invalid', `The tensor name "${name}" is longer than ${maxNameBytes} bytes.`)
  output.text(name)
  output.number('uint32', shape.length)
  for (const size of shape.toReversed()) output.number('uint64', BigInt(size))
  output.number('uint32', typeOf(type).id)
  output.number('uint64', BigInt(offset))
}

function sizeOf({ type, shape }: GgufTensor): number {
  const { blockSize, blockBytes } = typeOf(type)
  return (shape.reduce((product, size) => product * size, 1) / blockSize) * blockBytes
}

function typeOf(name: string) {
  const type = tensorTypes.get(name)
  if (type === undefined) throw new AppError('internal', `There is no type of numbers called ${name}.`)
  return type
}

function aligned(bytes: number, alignment: number): number {
  return Math.ceil(bytes / alignment) * alignment
}
