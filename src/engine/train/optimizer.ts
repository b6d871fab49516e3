/** What AdamW remembers of each parameter: running means of its gradients and of their squares. */
export type Moments = Readonly<{ first: readonly Float32Array[]; second: readonly Float32Array[] }>

export interface Optimizer {
  /** Belongs to the state of a run: a checkpoint holds it, and who resumes fills it. */
  readonly moments: Moments
  /** Changes the parameters in place. `step`: from 1. Gradients count `scale` times. */
  update(gradients: readonly Float32Array[], options: Readonly<{ step: number; learningRate: number; scale: number }>): void
}

const firstDecay = 0.9
const secondDecay = 0.999
const epsilon = 1e-8

/** Adam with decoupled weight decay and bias correction (Loshchilov and Hutter 2019, algorithm 2). */
export function createAdamW(parameters: readonly Float32Array[], { weightDecay }: Readonly<{ weightDecay: number }>): Optimizer {
  const zeros = () => parameters.map(({ length }) => new Float32Array(length))
  const moments = { first: zeros(), second: zeros() }
  return {
    moments,
    update(gradients, { step, learningRate, scale }) {
      const firstBias = 1 - firstDecay ** step
      const secondBias = 1 - secondDecay ** step
      const kept = 1 - learningRate * weightDecay
      for (const [index, values] of parameters.entries()) {
        const [gradient, first, second] = [gradients[index], moments.first[index], moments.second[index]]
        if (gradient === undefined || first === undefined || second === undefined) continue
        // Plain loops over typed arrays: there are millions of numbers in each step.
        for (let at = 0; at < values.length; at += 1) {
          const slope = (gradient[at] ?? 0) * scale
          const mean = firstDecay * (first[at] ?? 0) + (1 - firstDecay) * slope
          const square = secondDecay * (second[at] ?? 0) + (1 - secondDecay) * slope * slope
          first[at] = mean
          second[at] = square
          values[at] = (values[at] ?? 0) * kept - (learningRate * (mean / firstBias)) / (Math.sqrt(square / secondBias) + epsilon)
        }
      }
    },
  }
}

/** The L2 norm of all of them together. */
export function globalNorm(gradients: readonly Float32Array[]): number {
  let sum = 0
  for (const gradient of gradients) for (let at = 0; at < gradient.length; at += 1) sum += (gradient[at] ?? 0) ** 2
  return Math.sqrt(sum)
}

/** What gradients of this norm are multiplied by, so that it is no greater than `most`; 0: any norm is allowed. */
export function clippingScale(norm: number, most: number): number {
  return most > 0 && norm > most ? most / norm : 1
}

/** Sums gradients of several evaluations into arrays of its own. */
export function addGradients(sum: readonly Float32Array[] | undefined, more: readonly Float32Array[]): readonly Float32Array[] {
  if (sum === undefined) return more.map((gradient) => Float32Array.from(gradient))
  for (const [index, gradient] of more.entries()) {
    const total = sum[index]
    if (total === undefined) continue
    for (let at = 0; at < gradient.length; at += 1) total[at] = (total[at] ?? 0) + (gradient[at] ?? 0)
  }
  return sum
}
