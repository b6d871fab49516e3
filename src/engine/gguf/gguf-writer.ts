import { mkdir } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError } from '../../errors.ts'
import { freeBytes, writeBeside } from '../disk.ts'
import { createGgufOutput, type GgufOutput, type GgufValue } from './gguf-output.ts'

export type { GgufValue } from './gguf-output.ts'

// The format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md, version 3, little-endian.

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
  const { target, tensors } = gguf
  const head = encodeHead(gguf)
  await checkSpace(
    dirname(target),
    tensors.reduce((sum, tensor) => sum + aligned(sizeOf(tensor)), head.length),
  )
  await writeBeside(target, encodeFile(head, tensors, report), signal)
}

async function checkSpace(folder: string, needed: number): Promise<void> {
  await mkdir(folder, { recursive: true })
  const free = await freeBytes(folder)
  if (free >= needed) return
  throw new AppError(
    'storage_full',
    `The file needs ${needed} bytes, but the disk of ${folder} has ${free} free. Free some space and start again.`,
  )
}

async function* encodeFile(
  head: Uint8Array,
  tensors: readonly GgufTensor[],
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
    yield new Uint8Array(aligned(expected) - expected)
    bytes += aligned(expected)
    report({ type: 'tensor-written', done: index + 1, total: tensors.length, bytes })
  }
}

/** Everything before the first tensor's bytes, up to the alignment. */
function encodeHead({ metadata, tensors }: GgufFile): Uint8Array {
  const output = createGgufOutput()
  output.bytes(Buffer.from(magic))
  output.number('uint32', version)
  output.number('uint64', BigInt(tensors.length))
  output.number('uint64', BigInt(metadata.size))
  for (const [key, value] of metadata) {
    output.text(key)
    output.value(value)
  }
  let offset = 0
  const names = new Set<string>()
  for (const tensor of tensors) {
    if (names.has(tensor.name)) throw new AppError('invalid', `Two tensors are called "${tensor.name}".`)
    names.add(tensor.name)
    encodeTensorInfo(output, tensor, offset)
    offset += aligned(sizeOf(tensor))
  }
  output.bytes(new Uint8Array(aligned(output.length()) - output.length()))
  return output.written()
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
  output.number('uint32', tensorTypes[type].id)
  output.number('uint64', BigInt(offset))
}

function sizeOf({ type, shape }: GgufTensor): number {
  return shape.reduce((product, size) => product * size, tensorTypes[type].bytes)
}

function aligned(bytes: number): number {
  return Math.ceil(bytes / alignment) * alignment
}
