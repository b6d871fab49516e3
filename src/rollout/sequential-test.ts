/** One rating, in the order in which they came. */
export type Rating = Readonly<{ arm: 'baseline' | 'candidate'; isWin: boolean }>

export type SequentialTest = Readonly<{
  /** Always valid: however often one looks, it falls below a level no more often than that where neither arm is better. */
  pValue: number
  verdict: 'undecided' | 'candidate-better' | 'baseline-better'
}>

/** Of the Beta distribution from which the rates are guessed before there are ratings; what the source recommends. */
const prior = 0.18
/** Ratings of the arm with more of them that are compared with one of the other arm, at most. */
const mostPerBlock = 20

type Tally = { wins: number; trials: number }

/**
 * Tests whether one of two arms wins more often, valid at any time of looking: two bets against "this arm is not better", whose worth is
 * an e-value each. Ratings are compared in blocks of so many of the one arm and so many of the other, whose sizes depend on how many came
 * before and not on how they came out; each block is weighed by what the blocks before it tell of the rates. As a bet that nothing stands
 * behind passes 1/α with a probability of α at most (Ville), α/2 goes to each direction.
 * Source: Turner, Ly and Grünwald, "Generic E-variables for exact sequential k-sample tests that allow for optional stopping" (2024).
 */
export function testSequentially(ratings: Iterable<Rating>, level = 0.05): SequentialTest {
  const bets = createBets()
  const waiting = { baseline: createQueue(), candidate: createQueue() }
  let sizes = { baseline: 1, candidate: 1 }
  for (const { arm, isWin } of ratings) {
    waiting[arm].push(isWin)
    while (waiting.baseline.left() >= sizes.baseline && waiting.candidate.left() >= sizes.candidate) {
      bets.settle(
        { wins: waiting.baseline.takeWins(sizes.baseline), trials: sizes.baseline },
        { wins: waiting.candidate.takeWins(sizes.candidate), trials: sizes.candidate },
      )
      sizes = sizesAfter(waiting.baseline.seen(), waiting.candidate.seen())
    }
  }
  const { better, worse } = bets.best()
  const pValue = Math.min(1, 2 * Math.exp(-Math.max(better, worse)))
  if (pValue > level) return { pValue, verdict: 'undecided' }
  return { pValue, verdict: better > worse ? 'candidate-better' : 'baseline-better' }
}

function sizesAfter(baseline: number, candidate: number): Readonly<Record<Rating['arm'], number>> {
  const ratio = (more: number, fewer: number) => Math.min(mostPerBlock, Math.max(1, Math.round(more / fewer)))
  return baseline >= candidate
    ? { baseline: ratio(baseline, candidate), candidate: 1 }
    : { baseline: 1, candidate: ratio(candidate, baseline) }
}

/** Logarithms of what the two bets are worth, and of the most that they were. */
function createBets() {
  const seen = { baseline: { wins: 0, trials: 0 }, candidate: { wins: 0, trials: 0 } }
  let [better, worse, mostBetter, mostWorse] = [0, 0, 0, 0]
  return {
    settle(baseline: Tally, candidate: Tally): void {
      const [one, other] = [guess(seen.baseline), guess(seen.candidate)]
      const worth = worthOf(baseline, one, candidate, other)
      if (other > one) better += worth
      if (other < one) worse += worth
      mostBetter = Math.max(mostBetter, better)
      mostWorse = Math.max(mostWorse, worse)
      add(seen.baseline, baseline)
      add(seen.candidate, candidate)
    },
    best: () => ({ better: mostBetter, worse: mostWorse }),
  }
}

const guess = ({ wins, trials }: Tally) => (wins + prior) / (trials + 2 * prior)

function add(total: Tally, { wins, trials }: Tally): void {
  total.wins += wins
  total.trials += trials
}

/** How much likelier a block is with these two rates than with one for both, as a logarithm. */
function worthOf(one: Tally, rateOfOne: number, other: Tally, rateOfOther: number): number {
  const both = (one.trials * rateOfOne + other.trials * rateOfOther) / (one.trials + other.trials)
  const likelihood = ({ wins, trials }: Tally, rate: number) => wins * Math.log(rate) + (trials - wins) * Math.log(1 - rate)
  return likelihood(one, rateOfOne) + likelihood(other, rateOfOther) - likelihood(one, both) - likelihood(other, both)
}

/** Ratings that wait for those of the other arm. */
function createQueue() {
  const all: boolean[] = []
  let taken = 0
  return {
    push: (isWin: boolean) => void all.push(isWin),
    seen: () => all.length,
    left: () => all.length - taken,
    takeWins(count: number): number {
      const block = all.slice(taken, taken + count)
      taken += count
      return block.filter(Boolean).length
    },
  }
}
