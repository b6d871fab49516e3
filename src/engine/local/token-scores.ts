/** Below this distance from the best score, 300,000 tokens together are less than a part in ten million of the whole. */
const negligible = 30

export type Normalizer = Readonly<{
  /** The index of the highest score. */
  top: number
  /** The logarithm of the sum of all exponentials: a score minus this is the token's log-probability. */
  logSum: number
}>

export function normalize(scores: Float32Array): Normalizer {
  let top = 0
  let best = scores[0] ?? 0
  for (let token = 1; token < scores.length; token += 1) {
    const score = scores[token] ?? 0
    if (score > best) {
      best = score
      top = token
    }
  }
  let sum = 0
  for (let token = 0; token < scores.length; token += 1) {
    const distance = (scores[token] ?? 0) - best
    if (distance > -negligible) sum += Math.exp(distance)
  }
  return { top, logSum: best + Math.log(sum) }
}

/** Terms whose probability under the original is below e^-16 are left out, as llama.cpp's perplexity tool does. */
const leastLogProbability = -16

/** The Kullback–Leibler divergence of a distribution from the original one, in nats. Both are scores over the same vocabulary. */
export function klDivergence(original: Float32Array, originalLogSum: number, scores: Float32Array, logSum: number): number {
  let sum = 0
  for (let token = 0; token < original.length; token += 1) {
    const wanted = (original[token] ?? 0) - originalLogSum
    if (wanted > leastLogProbability) sum += Math.exp(wanted) * (wanted - (scores[token] ?? 0) + logSum)
  }
  return sum
}

/** Collects a mean and its standard error. */
export function createMean() {
  let [count, sum, squares] = [0, 0, 0]
  return {
    add(value: number): void {
      count += 1
      sum += value
      squares += value * value
    },
    count: () => count,
    mean: () => sum / count,
    error: () => (count < 2 ? 0 : Math.sqrt(Math.max(0, squares / count - (sum / count) ** 2) / (count - 1))),
  }
}
