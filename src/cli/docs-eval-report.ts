import type { Language } from '../config/kinds.ts'
import { compareRecall, type Evaluation } from '../rag/evaluate.ts'
import type { Estimate } from '../statistics.ts'
import type { SayOfDocsEval } from './docs-eval-messages.ts'

/** Evaluations of the same questions, by mode. */
export type Evaluations = ReadonlyMap<string, Evaluation>

/** The cutoff at which modes are compared, or the nearest one below that was measured. */
const comparedAt = 5

/** The figures of all modes side by side, then how the first mode compares with each other one. */
export function formatEvaluations(evaluations: Evaluations, language: Language, say: SayOfDocsEval): readonly string[] {
  const all = [...evaluations.values()]
  const number = (value: number, digits: number, unit = '') =>
    Number.isNaN(value)
      ? '–'
      : `${value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits })}${unit}`
  const percent = (value: number) => number(100 * value, 1, ' %')
  const share = ({ mean, low, high }: Estimate) => `${percent(mean)} (${number(100 * low, 0)}–${number(100 * high, 0)})`
  const row = (name: string, format: (evaluation: Evaluation) => string): Row => ({ name, format: ([, one]) => format(one) })
  const cutoffs = new Set(all.flatMap(({ recall }) => [...recall.keys()]))
  const rows = [
    { name: '', format: ([mode]: Column) => mode },
    row(say('questions'), ({ questions }) => String(questions.length)),
    ...[...cutoffs].map((k) => row(`recall@${k}`, ({ recall }) => formatMaybe(recall.get(k), share))),
    row('MRR@10', ({ mrr }) => number(mrr.mean, 3)),
    row(say('seconds'), ({ seconds }) => `${number(seconds.p50, 2)} / ${number(seconds.p95, 2)}`),
    ...(all.some(({ answers }) => answers !== undefined)
      ? (['answered', 'abstained', 'cited', 'citationPrecision'] as const).map((name) =>
          row(say(name), ({ answers }) => formatMaybe(answers?.[name], percent)),
        )
      : []),
  ]
  return [...align(rows, [...evaluations]), say('interval'), ...compare(evaluations, say, (points) => number(100 * points, 1))]
}

function compare(evaluations: Evaluations, say: SayOfDocsEval, points: (value: number) => string): readonly string[] {
  const [first, ...others] = evaluations
  if (first === undefined) return []
  const [one, evaluation] = first
  const k = Math.max(...[...evaluation.recall.keys()].filter((cutoff) => cutoff <= comparedAt))
  const signed = (value: number) => `${value > 0 ? '+' : ''}${points(value)}`
  return others.map(([other, against]) => {
    const { mean, low, high } = compareRecall(evaluation, against, k)
    return say('difference', { k, one, other, points: signed(mean), low: signed(low), high: signed(high) })
  })
}

function formatMaybe<T>(value: T | undefined, format: (value: T) => string): string {
  return value === undefined ? '–' : format(value)
}

type Column = readonly [mode: string, evaluation: Evaluation]
type Row = Readonly<{ name: string; format: (column: Column) => string }>

function align(rows: readonly Row[], columns: readonly Column[]): readonly string[] {
  const nameWidth = Math.max(...rows.map(({ name }) => name.length))
  const sized = columns.map((column) => ({ column, width: Math.max(...rows.map(({ format }) => format(column).length)) }))
  return rows.map(({ name, format }) =>
    [name.padEnd(nameWidth), ...sized.map(({ column, width }) => format(column).padStart(width))].join('  '),
  )
}

/** Everything that was measured, question by question, for a file. */
export function toReport(evaluations: Evaluations, settings: Readonly<Record<string, unknown>>) {
  return { ...settings, modes: Object.fromEntries([...evaluations].map(([mode, evaluation]) => [mode, toBody(evaluation)])) }
}

function toBody({ recall, mrr, seconds, answers, questions }: Evaluation) {
  return {
    recall: Object.fromEntries(recall),
    mrr_at_10: mrr,
    seconds,
    ...(answers === undefined
      ? {}
      : {
          answers: {
            answered: answers.answered,
            abstained: answers.abstained,
            cited: answers.cited,
            citation_precision: Number.isNaN(answers.citationPrecision) ? null : answers.citationPrecision,
          },
        }),
    questions: questions.map(({ rank, ...result }) => ({ ...result, rank: rank ?? null })),
  }
}
