import type { Prompt } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import { mean, percentile, signTest, wilson } from '../statistics.ts'
import {
  type Both,
  type Contestant,
  type GivenAnswer,
  type Plan,
  type Progress,
  type Side,
  sides,
  type Work,
} from './evaluation.ts'
import { compareMatches, type Match, matchAnswer } from './match-answer.ts'
import type { AnswersBody, EstimateBody, ExampleBody } from './report-schema.ts'

/** What both are asked. */
export type Asked = Readonly<{
  set: ExampleBody['set']
  prompt: Prompt
  /** The last thing that the person said, for people who read the report. */
  question: string
  /** Any of these is right; empty: nobody knows. */
  references: readonly string[]
  past: ExampleBody['past']
}>

export type Reply = (GivenAnswer & Readonly<{ match: Match | undefined; error?: undefined }>) | Readonly<{ error: AppError }>

export type Replies = Readonly<{ asked: Asked }> & Both<Reply>

type AskingParts = Pick<Work, 'ask' | 'wait'> & Pick<Plan, 'asker' | 'maxTokens'>

/** Both answer all questions, one model after the other: where only one fits into memory, it is loaded once. */
export async function answerBoth(
  parts: AskingParts,
  contestants: Both<Contestant>,
  questions: readonly Asked[],
  { onProgress, signal }: Readonly<{ onProgress: (progress: Progress) => void; signal: AbortSignal }>,
): Promise<readonly Replies[]> {
  const answer = async (side: Side): Promise<readonly Reply[]> => {
    const replies: Reply[] = []
    for (const asked of questions) {
      onProgress({ stage: `answer-${side}`, done: replies.length, total: questions.length })
      replies.push(await reply(parts, contestants[side], asked, signal))
    }
    refuseAllFailed(replies)
    return replies
  }
  const [baseline, candidate] = [await answer('baseline'), await answer('candidate')]
  return questions.flatMap((asked, at) => {
    const [one, other] = [baseline[at], candidate[at]]
    return one === undefined || other === undefined ? [] : [{ asked, baseline: one, candidate: other }]
  })
}

/** A model that answers nothing at all is not worse: it does not work, and the reason is told. */
function refuseAllFailed(replies: readonly Reply[]): void {
  const failures = replies.flatMap(({ error }) => error ?? [])
  if (failures[0] !== undefined && failures.length === replies.length) throw failures[0]
}

/** What can be wrong with one question, and not with the next. */
const ofOneQuestion: readonly string[] = ['invalid', 'context_length_exceeded', 'too_large', 'unprocessable', 'upstream']

async function reply(parts: AskingParts, who: Contestant, { prompt, references }: Asked, signal: AbortSignal): Promise<Reply> {
  try {
    const question = { prompt, maxTokens: parts.maxTokens }
    const given = await patiently(parts, () => parts.ask(who, question, parts.asker, signal), signal)
    return { ...given, match: references.length === 0 ? undefined : matchAnswer(given.text, references) }
  } catch (error) {
    if (error instanceof AppError && ofOneQuestion.includes(error.code)) return { error }
    throw error
  }
}

const mostTries = 6
const usualPauseSeconds = 5

/** Asks again after a pause where the service is busy: nobody waits in front of a screen for an evaluation. */
export async function patiently<T>({ wait }: Pick<Work, 'wait'>, ask: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (let tries = 1; ; tries += 1) {
    try {
      return await ask()
    } catch (error) {
      const isBusy = error instanceof AppError && (error.code === 'busy' || error.code === 'rate_limited')
      if (!isBusy || tries === mostTries) throw error
      await wait(1000 * (error.retryAfterSeconds ?? usualPauseSeconds), signal)
    }
  }
}

/** What the answers to one set of questions come to; undefined where there are none. `leftOut`: how many more there would have been. */
export function compareAnswers(replies: readonly Replies[], leftOut: number): AnswersBody | undefined {
  if (replies.length === 0) return undefined
  const count = (is: (replies: Replies) => boolean) => replies.filter(is).length
  const onlyCandidate = count(({ baseline, candidate }) => isExact(candidate) && !isExact(baseline))
  const onlyBaseline = count(({ baseline, candidate }) => isExact(baseline) && !isExact(candidate))
  return {
    questions: replies.length,
    left_out: leftOut,
    baseline: sumUp(replies, 'baseline'),
    candidate: sumUp(replies, 'candidate'),
    only_candidate_exact: onlyCandidate,
    only_baseline_exact: onlyBaseline,
    sign_test: signTest(onlyCandidate, onlyBaseline),
    candidate_nearer: count((one) => nearerOf(one) === 'candidate'),
    baseline_nearer: count((one) => nearerOf(one) === 'baseline'),
  }
}

export const isExact = (reply: Reply): boolean => reply.error === undefined && reply.match?.exact === true

/** Which answer is nearer to the reference; null where there is none. One that failed is further than any. */
export function nearerOf({ asked, ...replies }: Replies): ExampleBody['nearer'] {
  if (asked.references.length === 0) return null
  const [one, other] = sides.map((side) => replies[side])
  const [match, otherMatch] = [one, other].map((reply) => (reply?.error === undefined ? reply?.match : undefined))
  const order =
    match === undefined || otherMatch === undefined
      ? Number(match !== undefined) - Number(otherMatch !== undefined)
      : compareMatches(match, otherMatch)
  return order === 0 ? 'same' : order > 0 ? 'baseline' : 'candidate'
}

function sumUp(all: readonly Replies[], side: Side): AnswersBody['baseline'] {
  const given = all.flatMap(({ [side]: reply }) => (reply.error === undefined ? [reply] : []))
  const speeds = given.flatMap(({ tokensPerSecond }) => (tokensPerSecond > 0 ? [tokensPerSecond] : []))
  const known = all.filter(({ asked }) => asked.references.length > 0).length
  const share = (is: (match: Match) => boolean): EstimateBody | null => {
    if (known === 0) return null
    const successes = given.filter(({ match }) => match !== undefined && is(match)).length
    return { value: successes / known, ...wilson(successes, known) }
  }
  return {
    exact_match: share(({ exact }) => exact),
    contains: share(({ contains }) => contains),
    mean_characters: given.length === 0 ? 0 : mean(given.map(({ text }) => Array.from(text).length)),
    mean_tokens: given.length === 0 ? 0 : mean(given.map(({ tokens }) => tokens)),
    tokens_per_second: speeds.length === 0 ? null : percentile(speeds, 50),
    failed: all.length - given.length,
  }
}

export function toExampleBody(replies: Replies, judged: ExampleBody['judged']): ExampleBody {
  const { asked, baseline, candidate } = replies
  return {
    set: asked.set,
    question: asked.question,
    reference: asked.references[0] ?? null,
    baseline: toAnswerBody(baseline),
    candidate: toAnswerBody(candidate),
    nearer: nearerOf(replies),
    judged,
    past: asked.past,
  }
}

function toAnswerBody(reply: Reply): ExampleBody['baseline'] {
  if (reply.error !== undefined) {
    return { text: null, exact: null, contains: null, tokens: 0, tokens_per_second: null, error: reply.error.message }
  }
  const { text, match, tokens, tokensPerSecond } = reply
  return {
    text,
    exact: match?.exact ?? null,
    contains: match?.contains ?? null,
    tokens,
    tokens_per_second: tokensPerSecond > 0 ? tokensPerSecond : null,
    error: null,
  }
}
