import type { AnswersBody, CriterionBody, EvaluationReport } from './report-schema.ts'
import { type Thresholds, thresholdDefaults } from './schema.ts'

type Measured = Pick<EvaluationReport, 'dataset' | 'likelihood' | 'answers' | 'judge'>
type Value = Readonly<{ value: number; low?: number; high?: number }>
type Verdict = NonNullable<EvaluationReport['verdict']>

export const resolveThresholds = (given: Thresholds = {}): Required<Thresholds> => ({ ...thresholdDefaults, ...given })

/**
 * Whether the candidate passes, criterion by criterion. It is the value that is compared, not the ends of its interval: those say how far a few
 * questions can be trusted. What could not be measured neither passes nor fails, but without anything that tells what was learned nothing passes.
 */
export function decideVerdict(measured: Measured, limits: Required<Thresholds>): Verdict {
  const criteria = listCriteria(measured, limits)
  const heldOut = amountOf(measured)
  const known = criteria.filter(({ passed }) => passed !== null)
  const isGood = known.length > 0 && known.every(({ passed }) => passed === true)
  const isAsked = limits.held_out_loss_percent !== null || limits.preference_accuracy !== null
  return { passed: isGood && isAsked && heldOut === 'nothing' ? null : isGood, held_out: heldOut, criteria }
}

function listCriteria({ likelihood, answers, judge }: Measured, limits: Required<Thresholds>): CriterionBody[] {
  const atMost = (name: CriterionBody['name'], unit: CriterionBody['unit'], threshold: number | null, measured?: Value) =>
    toCriterion({ name, unit, threshold, measured, isPassed: (value, limit) => value <= limit })
  const atLeast = (name: CriterionBody['name'], threshold: number | null, measured?: Value) =>
    toCriterion({ name, unit: 'share', threshold, measured, isPassed: (value, limit) => value >= limit })
  const { held_out: texts, preferences } = likelihood
  return [
    // A dataset has texts or pairs: what it has not need not be told.
    ...(texts === null && preferences !== null
      ? []
      : atMost('held_out_loss', 'percent', limits.held_out_loss_percent, texts?.change_percent)),
    ...atMost('forgetting', 'percent', limits.forgetting_percent, likelihood.forgetting?.change_percent),
    ...atMost('exact_match', 'points', limits.exact_match_points, exactMatchLost(answers)),
    ...(preferences === null && limits.preference_accuracy === thresholdDefaults.preference_accuracy
      ? []
      : atLeast('preference_accuracy', limits.preference_accuracy, preferences?.by_reward.accuracy)),
    ...atLeast('judge_win_rate', limits.judge_win_rate, judge?.win_rate ?? undefined),
  ]
}

/** Examples below which the numbers say little. */
const enoughExamples = 10

function amountOf({ likelihood, answers, dataset }: Measured): Verdict['held_out'] {
  if (dataset === null) return 'no-dataset'
  const counts = [likelihood.held_out?.texts, likelihood.preferences?.pairs, answers.held_out?.questions]
  const most = Math.max(...counts.map((count = 0) => count))
  if (most === 0) return 'nothing'
  return most < enoughExamples ? 'few' : 'enough'
}

type Criterion = Readonly<{
  name: CriterionBody['name']
  unit: CriterionBody['unit']
  /** Null: not asked for. */
  threshold: number | null
  measured: Value | undefined
  isPassed: (value: number, threshold: number) => boolean
}>

function toCriterion({ name, unit, threshold, measured, isPassed }: Criterion): readonly CriterionBody[] {
  if (threshold === null) return []
  const { value = null, low = null, high = null } = measured ?? {}
  return [{ name, passed: value === null ? null : isPassed(value, threshold), value, low, high, threshold, unit }]
}

/** How many percentage points fewer exact answers the candidate gives, over all questions with a known answer. */
function exactMatchLost(answers: EvaluationReport['answers']): Value | undefined {
  const sets = [answers.held_out, answers.general].filter((set): set is AnswersBody => set !== null)
  const questions = sets.reduce((sum, set) => sum + set.questions, 0)
  if (questions === 0) return undefined
  const lost = sets.reduce((sum, set) => sum + set.only_baseline_exact - set.only_candidate_exact, 0)
  return { value: (100 * lost) / questions }
}
