import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError } from '../../errors.ts'
import { freeBytes, toDiskError } from '../verified-file.ts'
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

export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    // One write of the system takes less than 2 GiB.
    const { bytesWritten } = await file.write(bytes, written, Math.min(bytes.length - written, 1 << 26))
    written += bytesWritten
  }
}

/** A renamed file is only sure to be found under its new name once its folder is on the disk. */
export async function syncFolder(folder: string): Promise<void> {
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
