import type { ArmStatistics, Comparison } from './statistics.ts'

/** When a rollout of two arms is promoted or rolled back by itself. */
export type Rule = Readonly<{
  /** So many rated answers must each arm have before the rule acts by its ratings. */
  minRatings: number
  /**
   * `better`: the test has found the candidate better. `not-worse`: it has not found the baseline better, and the candidate wins as
   * often or more often, as far as counted.
   */
  promoteWhen?: 'better' | 'not-worse'
  /** The test has found the baseline better. */
  rollbackWhen?: 'worse'
  /** After so many days without a decision it is rolled back. */
  maxDays?: number
  /** An evaluation that must have passed before the candidate is promoted. */
  requireEvaluation?: string
}>

export type Decision = Readonly<{
  action: 'promote' | 'roll-back'
  /** `time`: the days are over. */
  reason: 'better' | 'not-worse' | 'worse' | 'time'
}>

export type Evidence = Readonly<{
  baseline: Pick<ArmStatistics, 'rated' | 'wins'>
  candidate: Pick<ArmStatistics, 'rated' | 'wins'>
  verdict: Comparison['verdict']
  /** Days since the start. */
  days: number
  /** Whether the evaluation that the rule requires has passed, or it requires none. */
  isEvaluated: boolean
}>

/** What a rule demands now; undefined: to go on. */
export function decide(rule: Rule, evidence: Evidence): Decision | undefined {
  const { baseline, candidate, verdict, days, isEvaluated } = evidence
  if (Math.min(baseline.rated, candidate.rated) >= rule.minRatings) {
    if (verdict === 'baseline-better' && rule.rollbackWhen !== undefined) return { action: 'roll-back', reason: 'worse' }
    const winsAsOften = candidate.wins * baseline.rated >= baseline.wins * candidate.rated
    const isNotWorse = verdict !== 'baseline-better' && winsAsOften
    const isGood = rule.promoteWhen === 'better' ? verdict === 'candidate-better' : isNotWorse
    if (rule.promoteWhen !== undefined && isGood && isEvaluated) return { action: 'promote', reason: rule.promoteWhen }
  }
  return rule.maxDays !== undefined && days >= rule.maxDays ? { action: 'roll-back', reason: 'time' } : undefined
}
