import { AppError } from '../../errors.ts'
import { fillBatch } from './batches.ts'
import { type TokenRow, targetsOf } from './example-tokens.ts'
import type { TrainPlan } from './protocol.ts'
import type { Trainable } from './trainable.ts'

export type Parity = TrainPlan['parity']

/** Of each row: each target costs both sides a row of scores over the whole vocabulary. */
const targetsOfRow = 64
/** In all: enough for rounding to even out. */
const mostTargets = 256

/**
 * What is compared: the ends of the longest rows, as those need the most of what a model can do otherwise than it should (positions,
 * sliding windows). Where they are few, so are those of `others`.
 */
export function parityRows(rows: readonly TokenRow[], others: readonly TokenRow[] = []): readonly TokenRow[] {
  const ends: TokenRow[] = []
  let left = mostTargets
  for (const { tokens } of [...longestFirst(rows), ...longestFirst(others)]) {
    const count = Math.min(targetsOfRow, tokens.length - 1, left)
    if (count <= 0) break
    ends.push({ tokens, places: Int32Array.from({ length: count }, (_, index) => tokens.length - count + index) })
    left -= count
  }
  return ends
}

const longestFirst = (rows: readonly TokenRow[]) => rows.toSorted((one, other) => other.tokens.length - one.tokens.length)

/** The part of a scorer of llama.cpp that is used. */
export interface ReferenceScorer {
  score(tokens: ArrayLike<number>, targetAt: ArrayLike<number>, targets: ArrayLike<number>): Float32Array
}

/** Mean negative log-likelihood of what is compared, and of how many targets it is the mean. */
export type MeanLoss = Readonly<{ loss: number; targets: number }>

/** By llama.cpp. */
export function scoreByReference(reference: ReferenceScorer, rows: readonly TokenRow[]): MeanLoss {
  return meanLoss(
    rows.map((row) => {
      const { targetAt, targets } = targetsOf(row)
      return reference.score(row.tokens, targetAt, targets)
    }),
  )
}

/** By what is to be trained: its adapter changes nothing yet. */
export async function scoreByTrainable(trainable: Pick<Trainable, 'score'>, rows: readonly TokenRow[]): Promise<number> {
  const logprobs: Float32Array[] = []
  for (const row of rows)
    logprobs.push(await trainable.score(fillBatch([row], { maxLength: row.tokens.length, packs: false }).batch))
  return meanLoss(logprobs).loss
}

/** Throws `invalid` with both numbers when they differ by more than the quantization explains. */
export function judgeParity(ours: number, { loss: reference, targets }: MeanLoss, quantization: string): Parity {
  const tolerance = parityTolerance(quantization, targets)
  // Below 1 nat the share of a small number would say more of rounding than of the model.
  const difference = Math.abs(ours - reference) / Math.max(1, Math.abs(reference))
  if (difference <= tolerance) return { ours, reference, tolerance }
  const [one, other, most] = [ours.toFixed(4), reference.toFixed(4), `${(tolerance * 100).toFixed(1)} %`]
  throw new AppError(
    'invalid',
    `The model is not computed here as llama.cpp does it: its mean negative log-likelihood of a text is ${one}, by llama.cpp ${other}; for ${quantization} at most ${most} of difference are expected. It cannot be trained.`,
  )
}

/**
 * How far both may be apart, as a share. Here weights are floats; llama.cpp rounds to 8 bits what it multiplies with quantized weights.
 * Measured with Gemma 3 270M on twenty texts of 23 to 891 tokens, up to 64 targets each, the largest differences were 0.02 % for F16,
 * 0.7 % for Q8_0, 1.0 % for Q6_K, 1.5 % for Q5_K_M, 0.9 % for Q4_K_M, 1.3 % for Q3_K_M and 2.0 % for Q2_K, of either sign, so they even
 * out over more targets; with few of them more is allowed: in Q4_K_M, one in twenty sets of 24 targets is off by more than 1.4 %, of 6 by more
 * than 4 %. Larger models round less; a wrong formula is off by far more.
 */
export function parityTolerance(quantization: string, targets: number): number {
  if (/F32|F16/.test(quantization)) return 0.005
  const bits = Number(/Q(\d)/.exec(quantization)?.[1] ?? 4)
  const usual = bits === 8 ? 0.005 : bits >= 4 ? 0.015 : 0.03
  return usual * Math.max(1, Math.sqrt(enoughTargets / targets))
}

const enoughTargets = 128

function meanLoss(logprobs: readonly Float32Array[]): MeanLoss {
  const targets = logprobs.reduce((sum, { length }) => sum + length, 0)
  const total = logprobs.reduce((sum, row) => sum + row.reduce((one, logprob) => one + logprob, 0), 0)
  return { loss: -total / targets, targets }
}
