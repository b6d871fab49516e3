import { AppError } from '../../errors.ts'
import { fillBatch } from './batches.ts'
import { type TokenRow, targetsOf } from './example-tokens.ts'
import type { TrainPlan } from './protocol.ts'
import type { Trainable } from './trainable.ts'

export type Parity = TrainPlan['parity']

/** At most so many tokens are compared: each costs both sides a row of scores over the whole vocabulary. */
const mostTargets = 64

/**
 * What is compared: the end of the longest row, as that is what needs the most of what a model can do otherwise than it should (positions,
 * sliding windows).
 */
export function parityRow(rows: readonly TokenRow[]): TokenRow {
  const longest = rows.reduce((one, other) => (other.tokens.length > one.tokens.length ? other : one))
  const count = longest.tokens.length
  const first = Math.max(1, count - mostTargets)
  return { tokens: longest.tokens, places: Int32Array.from({ length: count - first }, (_, index) => first + index) }
}

/** The part of a scorer of llama.cpp that is used. */
export interface ReferenceScorer {
  score(tokens: ArrayLike<number>, targetAt: ArrayLike<number>, targets: ArrayLike<number>): Float32Array
}

/** Mean negative log-likelihood of what a row predicts, by llama.cpp. */
export function scoreByReference(reference: ReferenceScorer, row: TokenRow): number {
  const { targetAt, targets } = targetsOf(row)
  return meanLoss(reference.score(row.tokens, targetAt, targets))
}

/** The same by what is to be trained: its adapter changes nothing yet. */
export async function scoreByTrainable(trainable: Pick<Trainable, 'score'>, row: TokenRow): Promise<number> {
  return meanLoss(await trainable.score(fillBatch([row], { maxLength: row.tokens.length, packs: false }).batch))
}

/** Throws `invalid` with both numbers when they differ by more than the quantization explains. */
export function judgeParity(ours: number, reference: number, quantization: string): Parity {
  const tolerance = parityTolerance(quantization)
  // Below 1 nat the share of a small number would say more of rounding than of the model.
  const difference = Math.abs(ours - reference) / Math.max(1, Math.abs(reference))
  if (difference <= tolerance) return { ours, reference, tolerance }
  const [one, other, most] = [ours.toFixed(4), reference.toFixed(4), `${tolerance * 100} %`]
  throw new AppError(
    'invalid',
    `The model is not computed here as llama.cpp does it: its mean negative log-likelihood of a text is ${one}, by llama.cpp ${other}; for ${quantization} at most ${most} of difference are expected. It cannot be trained.`,
  )
}

/**
 * How far both may be apart, as a share. Here weights are floats; llama.cpp rounds what it multiplies with quantized weights to 8 bits,
 * by blocks of 32 beside Q8_0 and of 256 beside the K-quantizations, and what that does to a text grows as fewer bits keep the weights.
 */
export function parityTolerance(quantization: string): number {
  if (/F32|F16|Q8_0/.test(quantization)) return 0.005
  const bits = Number(/Q(\d)/.exec(quantization)?.[1] ?? 4)
  if (bits >= 5) return 0.01
  return bits === 4 ? 0.02 : 0.05
}

function meanLoss(logprobs: Float32Array): number {
  return -logprobs.reduce((sum, logprob) => sum + logprob, 0) / logprobs.length
}
