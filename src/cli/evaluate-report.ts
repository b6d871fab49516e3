import type { Language } from '../config/kinds.ts'
import type {
  AnswersBody,
  CriterionBody,
  EstimateBody,
  EvaluationReport,
  ExampleBody,
  LikelihoodBody,
} from '../evaluation/report-schema.ts'
import { printable } from './context.ts'
import type { SayOfEvaluation } from './evaluate-messages.ts'

type Row = readonly [name: string, baseline: string, candidate: string, difference: string]
type Parts = Readonly<{ say: SayOfEvaluation; numbers: Numbers }>
type Numbers = ReturnType<typeof createNumbers>

const mostDifferences = 10
const mostCharacters = 100

/** A report as lines of a terminal: the figures of both side by side, the verdict, and where they differ. */
export function formatReport(report: EvaluationReport, language: Language, say: SayOfEvaluation): readonly string[] {
  const parts = { say, numbers: createNumbers(language) }
  const { likelihood, answers, judge, verdict } = report
  const rows: readonly Row[] = [
    ['', report.baseline.model, report.candidate.model, say('change')],
    ...lossRows(parts, say('heldOutLoss'), likelihood.held_out),
    ...perplexityRows(parts, likelihood.held_out),
    ...lossRows(parts, say('forgetting'), likelihood.forgetting),
    ...lossRows(parts, say('ratedUp'), likelihood.rated_up),
    ...preferenceRows(parts, likelihood.preferences),
    ...answerRows(parts, answers.held_out, 'heldOutExact', 'heldOutContains'),
    ...answerRows(parts, answers.general, 'generalExact', 'generalContains'),
    ...sizeRows(parts, answers.conversations ?? answers.held_out ?? answers.general),
  ]
  const questions = Object.values(answers).reduce((sum, set) => sum + (set?.questions ?? 0), 0)
  const [held, general] = [likelihood.held_out?.texts ?? likelihood.rated_up?.texts ?? 0, likelihood.forgetting?.texts ?? 0]
  return [
    ...align(rows),
    say('interval', { held, general, questions }),
    ...(likelihood.unavailable === null ? [] : [likelihood.unavailable]),
    ...(judge === null ? [] : ['', ...judgeLines(parts, judge, report.candidate.model)]),
    ...differenceLines(report, say),
    ...(verdict === null ? [] : verdictLines(parts, report, verdict)),
  ]
}

function createNumbers(language: Language) {
  const number = (value: number, digits: number) =>
    value.toLocaleString(language, { minimumFractionDigits: digits, maximumFractionDigits: digits })
  const percent = (value: number) => `${number(value, 1)} %`
  const sign = (value: number) => (Number(value.toFixed(1)) > 0 ? '+' : '')
  // Without the sign of a zero, and of what is rounded to one.
  const rounded = (value: number) => (Number(value.toFixed(1)) === 0 ? 0 : value)
  const signed = (value: number) => `${sign(value)}${percent(rounded(value))}`
  const range = (low: number, high: number) => `(${number(low, 1)}–${number(high, 1)})`
  return {
    number,
    percent,
    signed,
    signedPoints: (value: number) => `${sign(value)}${number(rounded(value), 1)}`,
    change: ({ value, low, high }: EstimateBody) => `${signed(value)} (${signed(low)} … ${signed(high)})`,
    share: (estimate: EstimateBody | null) =>
      estimate === null ? '–' : `${percent(100 * estimate.value)} ${range(100 * estimate.low, 100 * estimate.high)}`,
    maybe: (value: number | null, digits: number) => (value === null ? '–' : number(value, digits)),
  }
}

function lossRows({ numbers }: Parts, name: string, likelihood: LikelihoodBody | null): readonly Row[] {
  if (likelihood === null) return []
  const { baseline, candidate, change_percent: change } = likelihood
  return [[name, numbers.number(baseline.loss, 4), numbers.number(candidate.loss, 4), numbers.change(change)]]
}

function perplexityRows({ say, numbers }: Parts, likelihood: LikelihoodBody | null): readonly Row[] {
  if (likelihood === null) return []
  const { baseline, candidate } = likelihood
  return [[say('perplexity'), numbers.number(baseline.perplexity, 2), numbers.number(candidate.perplexity, 2), '']]
}

function preferenceRows({ say, numbers }: Parts, preferences: EvaluationReport['likelihood']['preferences']): readonly Row[] {
  if (preferences === null) return []
  const { by_reward: reward, by_sum: sum, by_mean: mean } = preferences
  return [
    [say('byReward'), '', numbers.share(reward.accuracy), ''],
    [say('bySum'), numbers.share(sum.baseline.accuracy), numbers.share(sum.candidate.accuracy), ''],
    [say('byMean'), numbers.share(mean.baseline.accuracy), numbers.share(mean.candidate.accuracy), ''],
  ]
}

type Name = Parameters<SayOfEvaluation>[0]

function answerRows({ say, numbers }: Parts, answers: AnswersBody | null, exact: Name, contains: Name): readonly Row[] {
  if (answers === null) return []
  const { baseline, candidate, sign_test: chance } = answers
  const byChance = say('byChance', { percent: numbers.percent(100 * chance) })
  return [
    [say(exact), numbers.share(baseline.exact_match), numbers.share(candidate.exact_match), byChance],
    [say(contains), numbers.share(baseline.contains), numbers.share(candidate.contains), ''],
  ]
}

function sizeRows({ say, numbers }: Parts, answers: AnswersBody | null): readonly Row[] {
  if (answers === null) return []
  const { baseline, candidate } = answers
  const both = (name: Name, format: (of: AnswersBody['baseline']) => string): Row => [
    say(name),
    format(baseline),
    format(candidate),
    '',
  ]
  return [
    both('characters', (of) => numbers.number(of.mean_characters, 0)),
    both('speed', (of) => numbers.maybe(of.tokens_per_second, 1)),
    ...(baseline.failed + candidate.failed === 0 ? [] : [both('failed', (of) => String(of.failed))]),
  ]
}

function align(rows: readonly Row[]): readonly string[] {
  const widest = (cellOf: (row: Row) => string) => Math.max(...rows.map((row) => cellOf(row).length))
  const nameWidth = widest(([name]) => name)
  const baselineWidth = widest(([, baseline]) => baseline)
  const candidateWidth = widest(([, , candidate]) => candidate)
  return rows.map(([name, baseline, candidate, difference]) =>
    [name.padEnd(nameWidth), baseline.padEnd(baselineWidth), candidate.padEnd(candidateWidth), difference].join('  ').trimEnd(),
  )
}

function judgeLines(
  { say, numbers }: Parts,
  judge: NonNullable<EvaluationReport['judge']>,
  candidate: string,
): readonly string[] {
  const { model, wins, losses, compared, inconsistent, broken, first_place: place } = judge
  const ties = compared - wins - losses
  return [
    say('judgeSays', { model, wins, ties, losses, candidate, rate: numbers.share(judge.win_rate) }),
    say('judgeDoubts', { inconsistent, broken, first: place.first, verdicts: place.verdicts }),
  ]
}

type Verdict = NonNullable<EvaluationReport['verdict']>

/** How to tell what a verdict is worth, its criteria, and the word in which it comes down. */
function verdictLines(parts: Parts, { dataset, likelihood, answers }: EvaluationReport, verdict: Verdict): readonly string[] {
  const { say } = parts
  const name = dataset === null ? '' : printable(`${dataset.name}:${dataset.version}`)
  const counts = [likelihood.held_out?.texts, likelihood.preferences?.pairs, answers.held_out?.questions]
  const notes = {
    'no-dataset': [say('noDataset')],
    nothing: [say('nothingHeldOut', { dataset: name, rows: dataset?.held_out_rows ?? 0 })],
    few: [say('fewHeldOut', { dataset: name, count: Math.max(...counts.map((count = 0) => count)) })],
    enough: [],
  } as const
  return [
    '',
    ...notes[verdict.held_out],
    ...verdict.criteria.map((criterion) => criterionLine(parts, criterion)),
    say(verdictName(verdict.passed)),
  ]
}

export const verdictName = (passed: boolean | null) => (passed === null ? 'undecided' : passed ? 'passes' : 'fails')

function criterionLine({ say, numbers }: Parts, { name, passed, value, threshold, unit }: CriterionBody): string {
  const format = (number: number | null) => {
    if (number === null) return say('unknown')
    // The report counts what is lost; people read what has changed.
    if (unit === 'points') return say('points', { value: numbers.signedPoints(-number) })
    return unit === 'share' ? numbers.percent(100 * number) : numbers.signed(number)
  }
  const mark = passed === null ? '?' : passed ? '✓' : '✗'
  const values = { value: format(value), limit: format(threshold) }
  return `${mark} ${say(name === 'forgetting' ? 'forgettingCriterion' : name, values)}`
}

/** Conversations are all shown, one below the other: there is no right answer to go by. */
function differenceLines({ examples, baseline, candidate }: EvaluationReport, say: SayOfEvaluation): readonly string[] {
  const differing = examples.filter(isDifferent)
  const shown = differing.filter(({ set }, at) => set === 'conversation' || at < mostDifferences)
  if (shown.length === 0) return []
  const answerOf = ({ text, error }: ExampleBody['baseline']) => oneLine(text ?? error ?? '')
  const lines = shown.flatMap((example) => [
    '',
    `  ${oneLine(example.question)}${example.reference === null ? '' : ` → ${oneLine(example.reference)}`}`,
    `    ${example.nearer === 'baseline' ? '+' : ' '} ${baseline.model}: ${answerOf(example.baseline)}`,
    `    ${example.nearer === 'candidate' ? '+' : ' '} ${candidate.model}: ${answerOf(example.candidate)}`,
  ])
  const left = differing.length - shown.length
  return ['', say('differences'), ...lines, ...(left === 0 ? [] : ['', `  ${say('more', { count: left })}`])]
}

const isDifferent = ({ set, baseline, candidate, nearer }: ExampleBody) =>
  set === 'conversation' ? baseline.text !== candidate.text : nearer === 'baseline' || nearer === 'candidate'

function oneLine(text: string): string {
  const line = printable(text).replace(/\s+/g, ' ').trim()
  const characters = Array.from(line)
  return characters.length <= mostCharacters ? line : `${characters.slice(0, mostCharacters - 1).join('')}…`
}
