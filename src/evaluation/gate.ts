import type { Prompt } from '../engine/provider.ts'
import type { TrainingExample } from '../engine/train/example.ts'
import { type Asked, answerBoth, compareAnswers, toExampleBody } from './answers.ts'
import type { HeldOut, Plan, Progress, Work } from './evaluation.ts'
import {
  type GeneralCompletion,
  type GeneralQuestion,
  readGeneralCompletions,
  readGeneralQuestions,
  toExample,
} from './general-set.ts'
import { judgeAll } from './judge.ts'
import { compareLikelihoods, comparePreferences, scoreBoth } from './likelihood.ts'
import type { EvaluationReport } from './report-schema.ts'
import { decideVerdict } from './verdict.ts'

type GatePlan = Extract<Plan, { kind: 'gate' }>
type Run = Readonly<{ onProgress: (progress: Progress) => void; signal: AbortSignal }>

/** Compares a candidate with what is in use: by likelihood, by answers, and by a judge where one is named. */
export async function runGate(work: Work, plan: GatePlan, run: Run): Promise<EvaluationReport> {
  const { baseline, candidate, judge, datasetId } = plan
  const heldOut = datasetId === undefined ? undefined : await work.readHeldOut(datasetId, plan.maxRows)
  const [completions, questions] = [await readGeneralCompletions(), await readGeneralQuestions()]
  const likelihood = await measureLikelihood(work, plan, { heldOut, completions }, run)
  const asked = listQuestions(plan, heldOut, questions)
  const replies = await answerBoth({ ...work, ...plan }, { baseline, candidate }, asked, run)
  const judgement = judge === undefined ? undefined : await judgeAll({ ...work, ...plan, judge }, replies, run)
  const ofSet = (set: Asked['set']) => replies.filter((one) => one.asked.set === set)
  const leftOut = (heldOut?.count ?? 0) - ofSet('held-out').length
  const answers = {
    held_out: compareAnswers(ofSet('held-out'), leftOut) ?? null,
    general: compareAnswers(ofSet('general'), 0) ?? null,
    conversations: null,
  }
  const dataset = heldOut === undefined ? null : toDataset(heldOut)
  const measured = { dataset, likelihood, answers, judge: judgement?.report ?? null }
  return {
    kind: 'gate',
    baseline: toContestant(baseline),
    candidate: toContestant(candidate),
    ...measured,
    verdict: decideVerdict(measured, plan.thresholds),
    examples: replies.map((one, at) => toExampleBody(one, judgement?.judged[at] ?? null)),
  }
}

export const toContestant = ({ model, provider, ranOn }: Plan['baseline']) => ({ model, provider, ran_on: ranOn })

const toDataset = ({ dataset, count, examples }: HeldOut) => ({ ...dataset, held_out_rows: count, scored_rows: examples.length })

type Texts = Readonly<{ heldOut: HeldOut | undefined; completions: readonly GeneralCompletion[] }>

/** All texts in one go: each model is loaded once to score them. */
async function measureLikelihood(
  work: Work,
  { baseline, candidate }: GatePlan,
  { heldOut, completions }: Texts,
  run: Run,
): Promise<EvaluationReport['likelihood']> {
  const examples = [...(heldOut?.examples ?? []), ...completions.map(toExample)]
  const result = await scoreBoth(work, { baseline, candidate }, examples, run)
  if ('unavailable' in result) return { ...notMeasured, unavailable: result.unavailable }
  const [own, general] = [result.scored.slice(0, -completions.length), result.scored.slice(-completions.length)]
  return {
    ...notMeasured,
    held_out: compareLikelihoods(own) ?? null,
    preferences: comparePreferences(own) ?? null,
    forgetting: compareLikelihoods(general) ?? null,
  }
}

export const notMeasured = { unavailable: null, held_out: null, preferences: null, forgetting: null, rated_up: null } as const

function listQuestions(
  { maxQuestions }: GatePlan,
  heldOut: HeldOut | undefined,
  questions: readonly GeneralQuestion[],
): readonly Asked[] {
  const own = (heldOut?.examples ?? []).flatMap((example) => toQuestion(example) ?? [])
  const general = questions.map(({ question, answers }): Asked => {
    const prompt = { type: 'chat', messages: [{ role: 'user', content: question }] } as const
    return { set: 'general', prompt, question, references: answers, past: null }
  })
  return [...own.slice(0, maxQuestions), ...general]
}

/** The last answer of an example as something to ask for; undefined where it has none. */
export function toQuestion(example: TrainingExample): Asked | undefined {
  if (example.type === 'text') return undefined
  const { messages } = example
  const place = example.type === 'preference' ? messages.length : lastLearned(example)
  const reference = example.type === 'preference' ? example.chosen : messages[place]?.content
  if (place < 1 || reference === undefined || reference.trim() === '') return undefined
  const prompt: Prompt = { type: 'chat', messages: messages.slice(0, place) }
  return { set: 'held-out', prompt, question: questionOf(prompt), references: [reference], past: null }
}

function lastLearned({ messages, learned }: Extract<TrainingExample, { type: 'chat' }>): number {
  return messages.findLastIndex(({ role }, place) => role === 'assistant' && (learned === undefined || learned.includes(place)))
}

/** The last thing that was said before the answer. */
export function questionOf(prompt: Prompt): string {
  if (prompt.type === 'text') return prompt.text
  return (prompt.messages.findLast(({ role }) => role === 'user') ?? prompt.messages.at(-1))?.content ?? ''
}
