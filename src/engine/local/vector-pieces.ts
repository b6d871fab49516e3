import { AppError } from '../../errors.ts'
import type { VectorBatch, VectorSpace } from '../vector-index.ts'
import type { VectorPiece } from './vector-protocol.ts'

/** A message of so much stays short work for both processes. */
const pieceBytes = 1_000_000

/** How far a vector's length may be from 1: more than rounding to half precision does. */
const lengthTolerance = 1e-3

/** Cuts a batch into pieces that fit a message. Throws `invalid` when one of its ids or vectors is not what it must be. */
export function cutBatch({ key, dimensions }: VectorSpace, { ids, vectors }: VectorBatch): readonly VectorPiece[] {
  if (ids.length !== vectors.length)
    throw new AppError('invalid', `Each vector needs one id, but there are ${vectors.length} vectors and ${ids.length} ids.`)
  const pieces: VectorPiece[] = []
  const perPiece = Math.max(1, Math.floor(pieceBytes / (4 * dimensions)))
  for (let start = 0; start < ids.length; start += perPiece) {
    const some = vectors.slice(start, start + perPiece)
    const flat = new Float32Array(some.length * dimensions)
    for (const [place, vector] of some.entries()) {
      checkVector(vector, dimensions, `Vector ${ids[start + place]} of "${key}"`)
      flat.set(vector, place * dimensions)
    }
    pieces.push({ ids: checkIds(ids.slice(start, start + perPiece)), vectors: flat })
  }
  return pieces
}

/** Throws `invalid` unless the vector has the dimensions and unit length. */
export function checkVector(vector: Float32Array, dimensions: number, name: string): void {
  if (vector.length !== dimensions)
    throw new AppError('invalid', `${name} must have ${dimensions} dimensions, but has ${vector.length}.`)
  const length = Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
  // Turned so that NaN is caught too.
  if (!(Math.abs(length - 1) <= lengthTolerance))
    throw new AppError('invalid', `${name} must be of length 1, but its length is ${length}.`)
}

/** Throws `invalid` for what is no whole number from 0 to 2^53 - 1. */
export function checkIds(ids: readonly number[]): Float64Array {
  const wrong = ids.find((id) => !Number.isSafeInteger(id) || id < 0)
  if (wrong !== undefined)
    throw new AppError(
      'invalid',
      `The id of a vector must be a whole number from 0 to ${Number.MAX_SAFE_INTEGER}, but is ${wrong}.`,
    )
  return Float64Array.from(ids)
}
