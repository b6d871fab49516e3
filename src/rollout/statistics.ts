import { type Interval, newcombe, wilson } from '../statistics.ts'
import type { Rollout } from './rollout-rows.ts'
import { type Rating, type SequentialTest, testSequentially } from './sequential-test.ts'
import { type ArmSpeed, type RatedAnswer, readComparisons, readRatings, readSpeed, type WinsParts } from './wins.ts'

export type ArmStatistics = ArmSpeed &
  Readonly<{
    model: string
    rated: number
    wins: number
    /** Undefined where nothing is rated. */
    rate: number | undefined
    rateInterval: Interval
    /** Answers that were kept over, or rejected for, one of another arm. */
    kept: number
    rejected: number
  }>

/** An arm beside the one before. */
export type Comparison = Pick<SequentialTest, 'pValue' | 'verdict'> &
  Readonly<{
    candidate: string
    /** By how much its rate is greater than that of the baseline; undefined where one of them has none. */
    difference: number | undefined
    differenceInterval: Interval
    /** Whether both have so many ratings that the numbers say something, or the test has found one. */
    hasEnoughData: boolean
  }>

export type RolloutStatistics = Readonly<{ arms: readonly ArmStatistics[]; comparisons: readonly Comparison[] }>

/** Ratings of each arm below which nothing should be made of the numbers. */
const usualMinRatings = 30
const level = 0.05

/** How the arms of a rollout do, by what users said of their answers. */
export async function readStatistics(parts: WinsParts, { id, arms, rule }: Rollout): Promise<RolloutStatistics> {
  const ratings = await readRatings(parts, id)
  const direct = await readComparisons(parts, id)
  const told: ArmStatistics[] = []
  for (const arm of arms) {
    const own = ratings.filter(({ model }) => model === arm.model)
    const wins = own.filter(({ isWin }) => isWin).length
    told.push({
      ...(await readSpeed(parts, id, arm)),
      model: arm.model,
      rated: own.length,
      wins,
      rate: own.length === 0 ? undefined : wins / own.length,
      rateInterval: wilson(wins, own.length),
      kept: direct.filter(({ kept }) => kept === arm.model).length,
      rejected: direct.filter(({ rejected }) => rejected === arm.model).length,
    })
  }
  const [baseline, ...candidates] = told
  if (baseline === undefined) return { arms: [], comparisons: [] }
  const options = { minRatings: rule?.minRatings ?? usualMinRatings, level: level / Math.max(1, candidates.length) }
  return { arms: told, comparisons: candidates.map((candidate) => compare(ratings, baseline, candidate, options)) }
}

type CompareOptions = Readonly<{ minRatings: number; level: number }>

function compare(
  ratings: readonly RatedAnswer[],
  baseline: ArmStatistics,
  candidate: ArmStatistics,
  { minRatings, level }: CompareOptions,
): Comparison {
  const ofBoth = ratings.flatMap(({ model, isWin }): Rating[] => {
    if (model === baseline.model) return [{ arm: 'baseline', isWin }]
    return model === candidate.model ? [{ arm: 'candidate', isWin }] : []
  })
  const test = testSequentially(ofBoth, level)
  const isKnown = baseline.rate !== undefined && candidate.rate !== undefined
  const count = ({ wins, rated }: ArmStatistics) => ({ wins, trials: rated })
  return {
    candidate: candidate.model,
    difference: isKnown ? (candidate.rate ?? 0) - (baseline.rate ?? 0) : undefined,
    differenceInterval: newcombe(count(candidate), count(baseline)),
    ...test,
    hasEnoughData: test.verdict !== 'undecided' || Math.min(baseline.rated, candidate.rated) >= minRatings,
  }
}
