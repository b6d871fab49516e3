import type { GateBody, Thresholds } from '../../../src/evaluation/schema.ts'

export type GateForm = Readonly<{
  candidate: string
  baseline: string
  dataset: string
  judge: string
  /** Where the candidate is what this run has taught. */
  run: string | undefined
  thresholds: Readonly<Record<keyof Thresholds, number | null | undefined>>
  counts: Readonly<Partial<Record<'max_rows' | 'max_questions' | 'max_tokens', number | null>>>
}>

/** A threshold that is left empty is not asked for. */
export function toGateBody({ candidate, baseline, dataset, judge, run, thresholds, counts }: GateForm): GateBody {
  const { max_rows: rows, max_questions: questions, max_tokens: tokens } = counts
  return {
    kind: 'gate',
    candidate: candidate.trim(),
    ...(baseline.trim() === '' ? {} : { baseline: baseline.trim() }),
    ...(dataset === '' ? {} : { dataset }),
    // A run brings its dataset along, where none is to be.
    ...(run === undefined || dataset === '' ? {} : { run }),
    ...(judge.trim() === '' ? {} : { judge: judge.trim() }),
    thresholds: {
      held_out_loss_percent: thresholds.held_out_loss_percent ?? null,
      forgetting_percent: thresholds.forgetting_percent ?? null,
      exact_match_points: thresholds.exact_match_points ?? null,
      preference_accuracy: thresholds.preference_accuracy ?? null,
      judge_win_rate: thresholds.judge_win_rate ?? null,
    },
    ...(typeof rows === 'number' ? { max_rows: rows } : {}),
    ...(typeof questions === 'number' ? { max_questions: questions } : {}),
    ...(typeof tokens === 'number' ? { max_tokens: tokens } : {}),
  }
}
