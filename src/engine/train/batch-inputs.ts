import { AppError } from '../../errors.ts'
import { createRandom } from '../local/random.ts'
import type { ModelShape, Rotary } from './model-shape.ts'
import type { Dropout, TokenBatch } from './trainable.ts'

/** Scores over the vocabulary are made for so many targets at a time that they take at most this much. */
const chunkBytes = 128 * 1024 ** 2
const mostChunk = 256

/** Targets that are predicted at a time, at most. */
export function chunkOf(vocabulary: number): number {
  return Math.max(1, Math.min(mostChunk, Math.floor(chunkBytes / (vocabulary * Float32Array.BYTES_PER_ELEMENT))))
}

/** Targets in chunks of equal size. One at least is left over, and weighs nothing. */
export type TargetChunks = Readonly<{
  chunks: number
  chunk: number
  targetAt: Int32Array
  targets: Int32Array
  weights: Float32Array
  /** For each token of the batch, where it is predicted from in the chunks; the first left over for those from which nothing is. */
  targetOf: Int32Array
}>

/** Throws `internal` when a token has two targets: their gradients would be lost. */
export function chunkTargets(batch: TokenBatch, weights: Float32Array | undefined, vocabulary: number): TargetChunks {
  const count = batch.targets.length
  const chunks = Math.ceil((count + 1) / chunkOf(vocabulary))
  const chunk = Math.ceil((count + 1) / chunks)
  const fill = (values: Int32Array) => {
    const filled = new Int32Array(chunks * chunk)
    filled.set(values)
    return filled
  }
  const filledWeights = new Float32Array(chunks * chunk)
  if (weights !== undefined) filledWeights.set(weights)
  const targetOf = new Int32Array(batch.rows * batch.length).fill(count)
  for (const [index, at] of batch.targetAt.entries()) {
    if (targetOf[at] !== count)
      throw new AppError('internal', `Two targets of a batch are predicted at ${at}, or it has no such token.`)
    targetOf[at] = index
  }
  return { chunks, chunk, targetAt: fill(batch.targetAt), targets: fill(batch.targets), weights: filledWeights, targetOf }
}

/** Throws `internal` when the parts of a batch do not fit together or name tokens that the model does not have. */
export function checkBatch(batch: TokenBatch, vocabulary: number): void {
  const size = batch.rows * batch.length
  const sizes = [batch.tokens, batch.positions, batch.segments].every(({ length }) => length === size)
  if (!sizes || size === 0 || batch.targetAt.length !== batch.targets.length)
    throw new AppError('internal', `The parts of a batch of ${batch.rows} × ${batch.length} tokens have other sizes.`)
  const isOutside = (token: number) => token < 0 || token >= vocabulary
  const outside = batch.tokens.find(isOutside) ?? batch.targets.find(isOutside)
  if (outside !== undefined)
    throw new AppError('internal', `A batch has the token ${outside}; the model knows those from 0 to ${vocabulary - 1}.`)
}

/** Less than any score, but finite: exp of it is exactly 0. */
const hidden = -1e30

/**
 * What is added to the scores of attention: 0 where a token may look, which is at those of its own text before it (of a window: at
 * the nearest so many, itself included) and at itself. [rows, length, length]
 */
export function createMask({ rows, length, segments }: TokenBatch, window: number | undefined): Float32Array {
  const mask = new Float32Array(rows * length * length).fill(hidden)
  for (let row = 0; row < rows; row += 1) {
    for (let to = 0; to < length; to += 1) {
      const segment = segments[row * length + to]
      const at = (row * length + to) * length
      // Padding looks at itself: a row of scores with nothing in it has no softmax.
      mask[at + to] = 0
      if (segment === undefined || segment < 0) continue
      const first = window === undefined ? 0 : Math.max(0, to - window + 1)
      for (let from = to - 1; from >= first && segments[row * length + from] === segment; from -= 1) mask[at + from] = 0
    }
  }
  return mask
}

/** Cosine and sine of the angle of each pair of numbers at each position, [positions, headSize / 2]. */
export type RotaryTable = Readonly<{ cosine: Float32Array; sine: Float32Array; inverseSine: Float32Array }>

export function createRotaryTable(
  { base, scale }: Rotary,
  { headSize }: ModelShape,
  positions: number,
  factors: Float32Array | undefined,
): RotaryTable {
  const half = headSize / 2
  const table = { cosine: new Float32Array(positions * half), sine: new Float32Array(positions * half) }
  for (let position = 0; position < positions; position += 1) {
    for (let pair = 0; pair < half; pair += 1) {
      const angle = (position * scale) / base ** ((2 * pair) / headSize) / (factors?.[pair] ?? 1)
      table.cosine[position * half + pair] = Math.cos(angle)
      table.sine[position * half + pair] = Math.sin(angle)
    }
  }
  return { ...table, inverseSine: table.sine.map((value) => -value) }
}

/** So many numbers, each 0 with the probability `rate` and else so large that their mean is 1. */
export function createDropout({ rate, seed }: Dropout, count: number): Float32Array {
  const random = createRandom(seed)
  const kept = 1 / (1 - rate)
  const numbers = new Float32Array(count)
  for (let index = 0; index < count; index += 1) if (random() >= rate) numbers[index] = kept
  return numbers
}
