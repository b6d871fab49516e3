/** Of the normal distribution: 95 % lie within so many standard deviations. */
const z95 = 1.959963984540054

/** The ends of a 95 % confidence interval. */
export type Interval = Readonly<{ low: number; high: number }>

/** How often something came out well. */
export type Count = Readonly<{ wins: number; trials: number }>

/**
 * The 95 % confidence interval of a share; 0 to 1 of no trials.
 * Source: Wilson, "Probable inference, the law of succession, and statistical inference" (1927).
 */
export function wilson({ wins, trials }: Count): Interval {
  if (trials === 0) return { low: 0, high: 1 }
  const share = wins / trials
  const square = z95 ** 2 / trials
  const centre = (share + square / 2) / (1 + square)
  const half = (z95 / (1 + square)) * Math.sqrt((share * (1 - share)) / trials + square / (4 * trials))
  // Where all or none are wins, the end is exact, and only rounding could say otherwise.
  return { low: wins === 0 ? 0 : Math.max(0, centre - half), high: wins === trials ? 1 : Math.min(1, centre + half) }
}

/**
 * The 95 % confidence interval of how much greater the first share is than the second one; −1 to 1 where one has no trials.
 * Source: Newcombe, "Interval estimation for the difference between independent proportions" (1998), method 10.
 */
export function newcombe(first: Count, second: Count): Interval {
  if (first.trials === 0 || second.trials === 0) return { low: -1, high: 1 }
  const [one, other] = [first.wins / first.trials, second.wins / second.trials]
  const [ofOne, ofOther] = [wilson(first), wilson(second)]
  const difference = one - other
  return {
    low: difference - Math.hypot(one - ofOne.low, ofOther.high - other),
    high: difference + Math.hypot(ofOne.high - one, other - ofOther.low),
  }
}
