import { createRandom } from './engine/local/random.ts'

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

/** The ends of a 95 % confidence interval. */
export type Interval = Readonly<{ low: number; high: number }>

const resamples = 2000
/** Of the normal distribution: 95 % lie within so many standard deviations. */
const z95 = 1.959963984540054

/**
 * The mean of the values, and the middle 95 % of the means of samples drawn from them with replacement. The same values and seed
 * give the same interval. For two settings over the same questions, give the difference for each question.
 * Source: the percentile method of Efron and Tibshirani, "An Introduction to the Bootstrap" (1993), chapter 13.
 */
export function bootstrap(values: readonly number[], seed = 1): Estimate {
  const interval = resample(values.length, seed, (drawn) => drawn.reduce((sum, at) => sum + (values[at] ?? 0), 0) / drawn.length)
  return { mean: mean(values), ...interval }
}

/**
 * The sum of the first numbers by the sum of the second ones, with its interval as `bootstrap` finds it: pairs are drawn, so that what is
 * hard for both stays together. `mean` is NaN of none.
 */
export function bootstrapRatio(pairs: ReadonlyArray<readonly [number, number]>, seed = 1): Estimate {
  const every = pairs.map((_, at) => at)
  const ratio = (drawn: readonly number[]) => {
    let [above, below] = [0, 0]
    for (const at of drawn) {
      above += pairs[at]?.[0] ?? 0
      below += pairs[at]?.[1] ?? 0
    }
    return above / below
  }
  return { mean: ratio(every), ...resample(pairs.length, seed, ratio) }
}

function resample(count: number, seed: number, statistic: (drawn: readonly number[]) => number): Interval {
  if (count === 0) return { low: Number.NaN, high: Number.NaN }
  const random = createRandom(seed)
  const found = Array.from({ length: resamples }, () =>
    statistic(Array.from({ length: count }, () => Math.floor(random() * count))),
  )
  return { low: percentile(found, 2.5), high: percentile(found, 97.5) }
}

/**
 * The 95 % confidence interval of a share, of use for few trials and for shares near 0 and 1, too. `successes` need not be whole, as
 * where a tie counts half. 0 to 1 of no trials.
 * Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
 */
export function wilson(successes: number, trials: number): Interval {
  if (trials === 0) return { low: 0, high: 1 }
  const share = successes / trials
  const square = z95 ** 2 / trials
  const centre = (share + square / 2) / (1 + square)
  const half = (z95 / (1 + square)) * Math.sqrt((share * (1 - share)) / trials + square / (4 * trials))
  // Where all or none succeed, the bound is exact, and only rounding could say otherwise.
  return { low: successes === 0 ? 0 : Math.max(0, centre - half), high: successes === trials ? 1 : Math.min(1, centre + half) }
}

/** How often something came out well. */
export type Count = Readonly<{ wins: number; trials: number }>

/**
 * The 95 % confidence interval of how much greater the first share is than the second one; −1 to 1 where one has no trials.
 * Source: Newcombe, "Interval estimation for the difference between independent proportions" (1998), method 10.
 */
export function newcombe(first: Count, second: Count): Interval {
  if (first.trials === 0 || second.trials === 0) return { low: -1, high: 1 }
  const [one, other] = [first.wins / first.trials, second.wins / second.trials]
  const [ofOne, ofOther] = [wilson(first.wins, first.trials), wilson(second.wins, second.trials)]
  const difference = one - other
  return {
    low: difference - Math.hypot(one - ofOne.low, ofOther.high - other),
    high: difference + Math.hypot(ofOne.high - one, other - ofOther.low),
  }
}

/**
 * How likely a difference at least as great is where neither side is better: the two-sided exact sign test, which for two settings over
 * the same questions is McNemar's exact test. Give how often only the one and only the other was right; where both were the same, says nothing.
 * Source: McNemar, "Note on the sampling error of the difference between correlated proportions or percentages" (1947).
 */
export function signTest(wins: number, losses: number): number {
  const trials = wins + losses
  // In logarithms: 0.5 ** trials would be 0 for more than a thousand.
  let logTerm = -trials * Math.LN2
  let tail = 0
  for (let count = 0; count <= Math.min(wins, losses); count += 1) {
    tail += Math.exp(logTerm)
    logTerm += Math.log((trials - count) / (count + 1))
  }
  return Math.min(1, 2 * tail)
}
