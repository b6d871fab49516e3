import { createRandom } from '../src/engine/local/random.ts'
import { mixSeeds } from '../src/engine/train/seeds.ts'
import type { Dropout, TokenBatch, Trainable } from '../src/engine/train/trainable.ts'

export type ToyOptions = Readonly<{ vocabulary: number; width?: number; rank?: number; seed?: number }>

export interface ToyTrainable extends Trainable {
  /** Like `score`, at once. */
  scoreNow(batch: Pick<TokenBatch, 'tokens' | 'targetAt' | 'targets'>, options?: Readonly<{ adapted: boolean }>): Float32Array
}

/**
 * A bigram model that can be trained: the scores of the next token are (W + B·A)·x, where x is a fixed vector of the token before it.
 * Its adapter is one pair of matrices. Everything is computed in 64 bits.
 */
export function createToyTrainable({ vocabulary, width = 8, rank = 4, seed = 1 }: ToyOptions): ToyTrainable {
  const random = createRandom(7)
  const floats = (count: number, scale: number) => Float32Array.from({ length: count }, () => (random() * 2 - 1) * scale)
  const [inputs, weights] = [floats(vocabulary * width, 1), floats(vocabulary * width, 0.5)]
  const start = createRandom(mixSeeds(seed, 1))
  const a = {
    name: 'blk.0.attn_q.weight.lora_a',
    shape: [rank, width] as const,
    data: Float32Array.from({ length: rank * width }, () => (start() * 2 - 1) / Math.sqrt(width)),
  }
  const b = { name: 'blk.0.attn_q.weight.lora_b', shape: [vocabulary, rank] as const, data: new Float32Array(vocabulary * rank) }
  const at = (array: ArrayLike<number>, index: number) => array[index] ?? 0

  function inputOf(token: number, dropout: Dropout | undefined, index: number): Float64Array {
    const drop = dropout === undefined ? undefined : createRandom(mixSeeds(dropout.seed, index))
    const keeps = () => (dropout === undefined || drop === undefined ? 1 : drop() < dropout.rate ? 0 : 1 / (1 - dropout.rate))
    return Float64Array.from({ length: width }, (_, column) => at(inputs, token * width + column) * keeps())
  }

  function predict(batch: Parameters<ToyTrainable['scoreNow']>[0], target: number, adapted: boolean, dropout?: Dropout) {
    const token = at(batch.tokens, at(batch.targetAt, target))
    const plain = inputOf(token, undefined, 0)
    const x = inputOf(token, dropout, target)
    const low = Float64Array.from({ length: rank }, (_, row) =>
      x.reduce((sum, value, column) => sum + value * at(a.data, row * width + column), 0),
    )
    const scores = Float64Array.from({ length: vocabulary }, (_, row) => {
      const base = plain.reduce((sum, value, column) => sum + value * at(weights, row * width + column), 0)
      return base + (adapted ? low.reduce((sum, value, column) => sum + value * at(b.data, row * rank + column), 0) : 0)
    })
    const highest = Math.max(...scores)
    const logSum = highest + Math.log(scores.reduce((sum, score) => sum + Math.exp(score - highest), 0))
    return {
      x,
      low,
      probabilities: scores.map((score) => Math.exp(score - logSum)),
      logprob: at(scores, at(batch.targets, target)) - logSum,
    }
  }

  const scoreNow: ToyTrainable['scoreNow'] = (batch, { adapted } = { adapted: true }) =>
    Float32Array.from(batch.targets, (_, target) => predict(batch, target, adapted).logprob)

  return {
    architecture: 'llama',
    parameters: [a, b],
    scoreNow,
    score: async (batch, options) => scoreNow(batch, options),
    async differentiate(batch, lossWeights, dropout) {
      const gradients = [new Float32Array(a.data.length), new Float32Array(b.data.length)] as const
      const logprobs = Float32Array.from(batch.targets, (wanted, target) => {
        const { x, low, probabilities, logprob } = predict(batch, target, true, dropout)
        const slopes = probabilities.map((probability, row) => (probability - (row === wanted ? 1 : 0)) * at(lossWeights, target))
        for (const [row, slope] of slopes.entries())
          for (let column = 0; column < rank; column += 1)
            gradients[1][row * rank + column] = at(gradients[1], row * rank + column) + slope * at(low, column)
        for (let row = 0; row < rank; row += 1) {
          const slope = slopes.reduce((sum, value, out) => sum + value * at(b.data, out * rank + row), 0)
          for (let column = 0; column < width; column += 1)
            gradients[0][row * width + column] = at(gradients[0], row * width + column) + slope * at(x, column)
        }
        return logprob
      })
      return { logprobs, gradients }
    },
    async close() {},
  }
}
