import { createRandom } from '../engine/local/random.ts'

/** NaN of none. */
export function mean(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0) / values.length
}

/** The value below which `percent` of the values lie, between the two nearest where it falls between them; NaN of none. */
export function percentile(values: readonly number[], percent: number): number {
  const sorted = values.toSorted((one, other) => one - other)
  const place = (percent / 100) * (sorted.length - 1)
  const below = sorted[Math.floor(place)] ?? Number.NaN
  const above = sorted[Math.ceil(place)] ?? Number.NaN
  return below + (above - below) * (place - Math.floor(place))
}

/** A mean with its 95 % confidence interval. */
export type Estimate = Readonly<{ mean: number; low: number; high: number }>

const resamples = 2000

/**
 * The mean of the values, and the middle 95 % of the means of samples drawn from them with replacement. The same values and seed
 * give the same interval. For two settings over the same questions, give the difference for each question.
 * Source: the percentile method of Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
 */
export function bootstrap(values: readonly number[], seed = 1): Estimate {
  if (values.length === 0) return { mean: Number.NaN, low: Number.NaN, high: Number.NaN }
  const random = createRandom(seed)
  const means = Array.from({ length: resamples }, () => {
    let total = 0
    for (let drawn = 0; drawn < values.length; drawn += 1) total += values[Math.floor(random() * values.length)] ?? 0
    return total / values.length
  })
  return { mean: mean(values), low: percentile(means, 2.5), high: percentile(means, 97.5) }
}
