import type { FileHandle } from 'node:fs/promises'
import { AppError } from '../../errors.ts'
import { ggmlTypes } from './ggml-types.ts'
import { cutOff } from './gguf-bytes.ts'
import type { GgufTensor } from './gguf-header.ts'

/**
 * Turns numbers of a ggml type into 32-bit floats: as many as `floats` takes, which is a multiple of the type's block.
 * Throws `invalid` for a type whose numbers are no floats.
 */
export type Dequantize = (type: string, bytes: Uint8Array, floats: Float32Array) => void

/** Numbers that are turned into floats at a time, in order; some of a tensor. */
export type FloatPiece = Readonly<{
  /** The index of the first number. */
  start: number
  /** Valid until the next piece is asked for. */
  floats: Float32Array
}>

/** A multiple of every type's block. */
const pieceElements = 1 << 20

/** Reads a tensor of an open GGUF file piece by piece, whatever its type. Throws `invalid` when the file is cut off. */
export async function* readFloatPieces(file: FileHandle, tensor: GgufTensor, dequantize: Dequantize): AsyncGenerator<FloatPiece> {
  const floats = new Float32Array(Math.min(pieceElements, tensor.elements))
  for await (const { start, count, bytes } of readPieces(file, tensor)) {
    const piece = floats.subarray(0, count)
    dequantize(tensor.type, bytes, piece)
    yield { start, floats: piece }
  }
}

/** Reads a whole tensor of an open GGUF file as floats, in the file's order; into `target` where one is given. */
export async function readFloats(
  file: FileHandle,
  tensor: GgufTensor,
  dequantize: Dequantize,
  target = new Float32Array(tensor.elements),
): Promise<Float32Array> {
  if (target.length !== tensor.elements)
    throw new AppError('internal', `The tensor ${tensor.name} has ${tensor.elements} numbers, not ${target.length}.`)
  for await (const { start, count, bytes } of readPieces(file, tensor))
    dequantize(tensor.type, bytes, target.subarray(start, start + count))
  return target
}

/** The bytes of a tensor as they are. Each piece is valid until the next one is asked for. */
export async function* readBytePieces(file: FileHandle, tensor: GgufTensor): AsyncGenerator<Uint8Array> {
  for await (const { bytes } of readPieces(file, tensor)) yield bytes
}

type BytePiece = Readonly<{ start: number; count: number; bytes: Uint8Array }>

async function* readPieces(file: FileHandle, tensor: GgufTensor): AsyncGenerator<BytePiece> {
  const type = [...ggmlTypes.values()].find(({ name }) => name === tensor.type)
  if (type === undefined) throw new AppError('internal', `There is no type of numbers called ${tensor.type}.`)
  const bytesOf = (count: number) => (count / type.blockSize) * type.blockBytes
  const buffer = new Uint8Array(bytesOf(Math.min(pieceElements, tensor.elements)))
  for (let start = 0; start < tensor.elements; start += pieceElements) {
    const count = Math.min(pieceElements, tensor.elements - start)
    const bytes = buffer.subarray(0, bytesOf(count))
    await readWhole(file, bytes, tensor.offset + bytesOf(start))
    yield { start, count, bytes }
  }
}

/** Fills `bytes` from this position of a file on. Throws `invalid` when the file ends before. */
export async function readWhole(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let filled = 0; filled < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, position + filled)
    if (bytesRead === 0) throw cutOff(position + filled)
    filled += bytesRead
  }
}
