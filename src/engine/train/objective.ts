import type { FilledBatch } from './batches.ts'
import { type FillOptions, fillBatch, type LearnedExample, tokensOf } from './batches.ts'
import { createDpo } from './dpo.ts'
import type { TokenRow } from './example-tokens.ts'
import type { TrainParameters } from './protocol.ts'
import type { Dropout, Trainable } from './trainable.ts'

/** What is evaluated at once. */
export type Material = Readonly<{ examples: readonly LearnedExample[]; replay: readonly TokenRow[] }>

export type Slope = Readonly<{
  /** What it adds to the loss of the update. */
  loss: number
  gradients: readonly Float32Array[]
}>

/** Sums, so that they can be added up: the loss is `loss` / `weight`. */
export type Evaluated = Readonly<{ loss: number; weight: number; preferred: number; pairs: number }>

/** What is made smaller by learning. */
export interface Objective {
  /** How much material counts in the mean that the loss is. */
  weightOf(material: Material): number
  /** `total`: the weight of the whole update. */
  differentiate(material: Material, total: number, dropout: Dropout | undefined): Promise<Slope>
  evaluate(examples: readonly LearnedExample[]): Promise<Evaluated>
}

export type ObjectiveOptions = FillOptions & Pick<TrainParameters, 'method' | 'beta'>

export function createObjective(trainable: Pick<Trainable, 'score' | 'differentiate'>, options: ObjectiveOptions): Objective {
  return options.method === 'dpo' ? createDpo(trainable, options) : createLikelihood(trainable, options)
}

/** Supervised fine-tuning: the weighted mean over all targets of their negative log-likelihood, in nats. */
function createLikelihood(trainable: Pick<Trainable, 'score' | 'differentiate'>, options: FillOptions): Objective {
  function fill({ examples, replay }: Material): FilledBatch & { weights: Float32Array } {
    const weighted = [
      ...examples.flatMap(({ rows, weight }) => rows.map((row) => ({ row, weight }))),
      ...replay.map((row) => ({ row, weight: 1 })),
    ]
    const filled = fillBatch(
      weighted.map(({ row }) => row),
      options,
    )
    return { ...filled, weights: Float32Array.from(filled.rowOf, (row) => weighted[row]?.weight ?? 0) }
  }
  return {
    weightOf: ({ examples, replay }) =>
      examples.reduce((sum, { rows, weight }) => sum + weight * targetCount(rows), 0) + targetCount(replay),
    async differentiate(material, total, dropout) {
      const { batch, weights } = fill(material)
      const shares = weights.map((weight) => weight / total)
      const { logprobs, gradients } = await trainable.differentiate(batch, shares, dropout)
      return { loss: -weightedSum(shares, logprobs), gradients }
    },
    async evaluate(examples) {
      const { batch, weights } = fill({ examples, replay: [] })
      const logprobs = await trainable.score(batch)
      return {
        loss: -weightedSum(weights, logprobs),
        weight: weights.reduce((sum, weight) => sum + weight, 0),
        preferred: 0,
        pairs: 0,
      }
    },
  }
}

export function targetCount(rows: readonly TokenRow[]): number {
  return rows.reduce((sum, { places }) => sum + places.length, 0)
}

export function materialTokens({ examples, replay }: Material): number {
  return examples.reduce((sum, { rows }) => sum + tokensOf(rows), tokensOf(replay))
}

function weightedSum(weights: Float32Array, values: Float32Array): number {
  return weights.reduce((sum, weight, index) => sum + weight * (values[index] ?? 0), 0)
}
