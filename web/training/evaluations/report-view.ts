import type { CriterionBody, EvaluationReport, ExampleBody } from '../../../src/evaluation/report-schema.ts'

/** The numbers of both models behind a criterion, where it has such. */
export type BothNumbers = Readonly<{ baseline: number | undefined; candidate: number | undefined; isShare: boolean }>

export function numbersBehind({ name }: CriterionBody, report: EvaluationReport): BothNumbers {
  const { likelihood, judge } = report
  switch (name) {
    case 'held_out_loss':
      return lossesOf(likelihood.held_out)
    case 'forgetting':
      return lossesOf(likelihood.forgetting)
    case 'exact_match':
      return { baseline: exactShare(report, 'baseline'), candidate: exactShare(report, 'candidate'), isShare: true }
    case 'preference_accuracy':
      return {
        baseline: likelihood.preferences?.by_sum.baseline.accuracy.value,
        candidate: likelihood.preferences?.by_sum.candidate.accuracy.value,
        isShare: true,
      }
    case 'judge_win_rate': {
      const rate = judge?.win_rate?.value
      return { baseline: rate === undefined ? undefined : 1 - rate, candidate: rate, isShare: true }
    }
  }
}

function lossesOf(measured: EvaluationReport['likelihood']['held_out']): BothNumbers {
  return { baseline: measured?.baseline.loss, candidate: measured?.candidate.loss, isShare: false }
}

/** Of all questions with a known answer. */
function exactShare({ answers }: EvaluationReport, side: 'baseline' | 'candidate'): number | undefined {
  const sets = [answers.held_out, answers.general].flatMap((set) => {
    const exact = set?.[side].exact_match
    return set === null || exact === null || exact === undefined
      ? []
      : [{ count: set.questions, right: set.questions * exact.value }]
  })
  const all = sets.reduce((sum, { count }) => sum + count, 0)
  return all === 0 ? undefined : sets.reduce((sum, { right }) => sum + right, 0) / all
}

export const exampleFilters = ['all', 'changed', 'worse', 'better'] as const
export type ExampleFilter = (typeof exampleFilters)[number]

/** Whom an example speaks for: by what is exact, else by what comes nearer, else by the judge. */
export function standingOf({ baseline, candidate, nearer, judged }: ExampleBody): 'worse' | 'better' | 'same' {
  if (candidate.error !== null || baseline.error !== null)
    return candidate.error === baseline.error ? 'same' : candidate.error === null ? 'better' : 'worse'
  if (baseline.exact !== candidate.exact) return candidate.exact === true ? 'better' : 'worse'
  if (nearer === 'baseline' || judged === 'loss') return 'worse'
  return nearer === 'candidate' || judged === 'win' ? 'better' : 'same'
}

export function filterExamples(examples: readonly ExampleBody[], filter: ExampleFilter): readonly ExampleBody[] {
  if (filter === 'all') return examples
  if (filter === 'changed') return examples.filter(({ baseline, candidate }) => baseline.text !== candidate.text)
  return examples.filter((example) => standingOf(example) === filter)
}
