import { bootstrap, type Estimate, mean, percentile } from '../statistics.ts'
import type { Question } from './question-set.ts'

/** What one question got. */
export type Reply = Readonly<{
  /** Where the passages come from, best first; `number` is what the answer calls them. */
  sources: readonly Readonly<{ number: number; source: string }>[]
  /** From the question to the whole reply, without waiting for a turn. */
  seconds: number
  /** Undefined when only sources were asked for. */
  answer?: Readonly<{
    text: string
    /** Whether it says that the documents do not tell. */
    abstained: boolean
    /** The numbers of the sources in the order in which the answer cites them, each as often as it does. */
    citations: readonly number[]
  }>
}>

export type QuestionResult = Readonly<{
  id: string
  question: string
  relevant: readonly string[]
  sources: readonly string[]
  /** The place of the first source that is a right document, from 1; undefined when there is none. */
  rank: number | undefined
  seconds: number
  answer: string | undefined
  abstained: boolean | undefined
  /** Citations in the answer, and how many of them name a right document. */
  citations: Readonly<{ given: number; right: number }> | undefined
}>

export type Evaluation = Readonly<{
  questions: readonly QuestionResult[]
  /**
   * By k: the share of questions with a right document among the first k sources. The documents of a question are alternatives, so one
   * of them is enough (elsewhere this is called hit rate or success@k).
   */
  recall: ReadonlyMap<number, Estimate>
  /** The mean of 1 / rank of the first right document among ten; 0 for a question without one. */
  mrr: Estimate
  seconds: Readonly<{ p50: number; p95: number }>
  /** Undefined when no answers were asked for. */
  answers:
    | Readonly<{
        /** Share of questions that got an answer, and share that were told that the documents do not tell. */
        answered: number
        abstained: number
        /** Share of the answers with a citation at all. */
        cited: number
        /** Citations that name a right document, by all citations of all answers; NaN without a citation. */
        citationPrecision: number
      }>
    | undefined
}>

export type EvaluateOptions = Readonly<{
  ask: (question: Question, signal: AbortSignal) => Promise<Reply>
  /** How many sources each question asks for: no recall is told beyond it. */
  k: number
  report?: (done: number) => void
}>

const cutoffs = [1, 3, 5, 10] as const
const mrrDepth = 10

/** Asks each question, one after the other, and measures what came. Throws what `ask` throws, and `aborted`. */
export async function evaluate(
  questions: readonly Question[],
  { ask, k, report }: EvaluateOptions,
  signal: AbortSignal,
): Promise<Evaluation> {
  const results: QuestionResult[] = []
  for (const question of questions) {
    results.push(judge(question, await ask(question, signal)))
    report?.(results.length)
  }
  return summarize(results, k)
}

/** The difference of recall@k between two settings over the same questions, in their order: above 0 where `one` is better. */
export function compareRecall(one: Evaluation, other: Evaluation, k: number): Estimate {
  const second = new Map(other.questions.map((result) => [result.id, hit(result, k)]))
  return bootstrap(
    one.questions.flatMap((result) => (second.has(result.id) ? [hit(result, k) - (second.get(result.id) ?? 0)] : [])),
  )
}

/** Whether a source is the document that a question set names: the same, or a path or address that ends with it. */
export function isSameSource(source: string, named: string): boolean {
  if (source === named) return true
  const before = source.at(-named.length - 1)
  return source.endsWith(named) && (before === '/' || before === '\\' || before === ':')
}

function judge({ id, question, relevant }: Question, { sources, answer, seconds }: Reply): QuestionResult {
  const isRight = (source: string) => relevant.some((named) => isSameSource(source, named))
  const place = sources.findIndex(({ source }) => isRight(source))
  const right = new Set(sources.flatMap(({ number, source }) => (isRight(source) ? [number] : [])))
  return {
    id,
    question,
    relevant,
    sources: sources.map(({ source }) => source),
    rank: place === -1 ? undefined : place + 1,
    seconds,
    answer: answer?.text,
    abstained: answer?.abstained,
    citations: answer && {
      given: answer.citations.length,
      right: answer.citations.filter((number) => right.has(number)).length,
    },
  }
}

function summarize(questions: readonly QuestionResult[], k: number): Evaluation {
  const told = [...new Set([...cutoffs.filter((cutoff) => cutoff <= k), Math.min(k, mrrDepth)])]
  const seconds = questions.map((result) => result.seconds)
  return {
    questions,
    recall: new Map(told.map((cutoff) => [cutoff, bootstrap(questions.map((result) => hit(result, cutoff)))])),
    mrr: bootstrap(questions.map(({ rank }) => (rank === undefined || rank > mrrDepth ? 0 : 1 / rank))),
    seconds: { p50: percentile(seconds, 50), p95: percentile(seconds, 95) },
    answers: summarizeAnswers(questions),
  }
}

function summarizeAnswers(questions: readonly QuestionResult[]): Evaluation['answers'] {
  const asked = questions.filter(({ answer }) => answer !== undefined)
  if (asked.length === 0) return undefined
  const answered = asked.filter(({ abstained }) => abstained === false)
  const counts = answered.flatMap(({ citations }) => citations ?? [])
  const given = counts.reduce((sum, count) => sum + count.given, 0)
  const right = counts.reduce((sum, count) => sum + count.right, 0)
  return {
    answered: answered.length / asked.length,
    abstained: 1 - answered.length / asked.length,
    cited: mean(counts.map((count) => (count.given > 0 ? 1 : 0))),
    citationPrecision: given === 0 ? Number.NaN : right / given,
  }
}

const hit = ({ rank }: QuestionResult, k: number) => (rank !== undefined && rank <= k ? 1 : 0)
