import { type FilledBatch, type FillOptions, fillBatch, type LearnedExample } from './batches.ts'
import type { Material, Objective } from './objective.ts'
import type { Trainable } from './trainable.ts'

type Pair = Readonly<{ weight: number; margin: number }>

/**
 * Direct preference optimization: −log σ(margin), where the margin is beta times how much more the chosen answer gained on the model
 * without adapter than the rejected one did (Rafailov et al. 2023, equation 7). Its gradient is that of a weighted sum of the
 * log-probabilities, whose weights follow from the margins; so these are computed first, and the same graph serves as for likelihoods.
 * Nothing is replayed: beta keeps the model near to what it was.
 */
export function createDpo(
  trainable: Pick<Trainable, 'score' | 'differentiate'>,
  { beta, ...options }: FillOptions & Readonly<{ beta: number }>,
): Objective {
  async function compare(examples: readonly LearnedExample[]): Promise<{ filled: FilledBatch; pairs: readonly Pair[] }> {
    const filled = fillBatch(
      examples.flatMap(({ rows }) => rows.slice(0, 2)),
      options,
    )
    const policy = await trainable.score(filled.batch)
    const reference = await trainable.score(filled.batch, { adapted: false })
    const gains = new Float64Array(2 * examples.length)
    for (const [target, row] of filled.rowOf.entries())
      gains[row] = (gains[row] ?? 0) + (policy[target] ?? 0) - (reference[target] ?? 0)
    const marginOf = (pair: number) => beta * ((gains[2 * pair] ?? 0) - (gains[2 * pair + 1] ?? 0))
    return { filled, pairs: examples.map(({ weight }, pair) => ({ weight, margin: marginOf(pair) })) }
  }

  const weightOf = ({ examples }: Pick<Material, 'examples'>) => examples.reduce((sum, { weight }) => sum + weight, 0)
  const lossOf = (pairs: readonly Pair[]) =>
    pairs.reduce((sum, { weight, margin }) => sum + weight * negativeLogSigmoid(margin), 0)
  return {
    weightOf,
    async differentiate({ examples }, total, dropout) {
      const { filled, pairs } = await compare(examples)
      const weights = Float32Array.from(filled.rowOf, (row) => {
        const { weight, margin } = pairs[row >> 1] ?? { weight: 0, margin: 0 }
        return ((row % 2 === 0 ? 1 : -1) * beta * sigmoid(-margin) * weight) / total
      })
      const { gradients } = await trainable.differentiate(filled.batch, weights, dropout)
      return { loss: lossOf(pairs) / total, gradients }
    },
    async evaluate(examples) {
      const { pairs } = await compare(examples)
      const preferred = pairs.filter(({ margin }) => margin > 0).length
      return { loss: lossOf(pairs), weight: weightOf({ examples }), preferred, pairs: pairs.length }
    },
  }
}

const sigmoid = (value: number) => (value >= 0 ? 1 / (1 + Math.exp(-value)) : Math.exp(value) / (1 + Math.exp(value)))

/** −log σ(value), without overflow for large margins of either sign. */
const negativeLogSigmoid = (value: number) => Math.max(0, -value) + Math.log1p(Math.exp(-Math.abs(value)))
