import type { AnswersBody, CriterionBody, EvaluationReport } from './report-schema.ts'
import { type Thresholds, thresholdDefaults } from './schema.ts'

type Measured = Pick<EvaluationReport, 'likelihood' | 'answers' | 'judge'>
type Value = Readonly<{ value: number; low?: number; high?: number }>

export const resolveThresholds = (given: Thresholds = {}): Required<Thresholds> => ({ ...thresholdDefaults, ...given })

/**
 * Whether the candidate passes, criterion by criterion. It is the value that is compared, not the ends of its interval: those say how far a few
 * questions can be trusted. What could not be measured neither passes nor fails.
 */
export function decideVerdict(
  { likelihood, answers, judge }: Measured,
  limits: Required<Thresholds>,
): NonNullable<EvaluationReport['verdict']> {
  const atMost = (name: CriterionBody['name'], unit: CriterionBody['unit'], threshold: number | null, measured?: Value) =>
    toCriterion({ name, unit, threshold, measured, isPassed: (value, limit) => value <= limit })
  const atLeast = (name: CriterionBody['name'], threshold: number | null, measured?: Value) =>
    toCriterion({ name, unit: 'share', threshold, measured, isPassed: (value, limit) => value >= limit })
  const criteria = [
    ...atMost('held_out_loss', 'percent', limits.held_out_loss_percent, likelihood.held_out?.change_percent),
    ...atMost('forgetting', 'percent', limits.forgetting_percent, likelihood.forgetting?.change_percent),
    ...atMost('exact_match', 'points', limits.exact_match_points, exactMatchLost(answers)),
    ...atLeast('preference_accuracy', limits.preference_accuracy, likelihood.preferences?.by_reward.accuracy),
    ...atLeast('judge_win_rate', limits.judge_win_rate, judge?.win_rate ?? undefined),
  ]
  const measured = criteria.filter(({ passed }) => passed !== null)
  return { passed: measured.length > 0 && measured.every(({ passed }) => passed === true), criteria }
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
