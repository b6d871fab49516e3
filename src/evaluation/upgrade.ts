import type { TrainingExample } from '../engine/train/example.ts'
import { AppError } from '../errors.ts'
import { type Asked, answerBoth, compareAnswers, toExampleBody } from './answers.ts'
import type { PastConversation, Plan, Progress, Work } from './evaluation.ts'
import { notMeasured, questionOf, toContestant } from './gate.ts'
import { judgeAll } from './judge.ts'
import { compareLikelihoods, scoreBoth } from './likelihood.ts'
import type { EvaluationReport } from './report-schema.ts'

type UpgradePlan = Extract<Plan, { kind: 'upgrade' }>
type Run = Readonly<{ onProgress: (progress: Progress) => void; signal: AbortSignal }>

/**
 * Has two models answer again what one user asked last, side by side. Nobody knows the right answers, so there is no verdict: a person looks
 * at them, or a judge. Throws `conflict` where nothing is remembered.
 */
export async function runUpgrade(work: Work, plan: UpgradePlan, run: Run): Promise<EvaluationReport> {
  const { baseline, candidate, judge } = plan
  const past = await work.recentConversations(plan.userId, plan.conversations)
  if (past.length === 0)
    throw new AppError('conflict', 'No conversations of yours are remembered. Talk to a model first, with STORE_PREDICTIONS on.')
  const likelihood = await measureLikelihood(work, plan, past, run)
  const replies = await answerBoth({ ...work, ...plan }, { baseline, candidate }, past.map(toAsked), run)
  const judgement = judge === undefined ? undefined : await judgeAll({ ...work, ...plan, judge }, replies, run)
  return {
    kind: 'upgrade',
    baseline: toContestant(baseline),
    candidate: toContestant(candidate),
    dataset: null,
    likelihood,
    answers: { held_out: null, general: null, conversations: compareAnswers(replies, 0) ?? null },
    judge: judgement?.report ?? null,
    verdict: null,
    examples: replies.map((one, at) => toExampleBody(one, judgement?.judged[at] ?? null)),
  }
}

async function measureLikelihood(
  work: Work,
  { baseline, candidate }: UpgradePlan,
  past: readonly PastConversation[],
  run: Run,
): Promise<EvaluationReport['likelihood']> {
  const examples = past.filter(({ rating, answer }) => rating === 'up' && answer.trim() !== '').map(toExample)
  const result = await scoreBoth(work, { baseline, candidate }, examples, run)
  if ('unavailable' in result) return { ...notMeasured, unavailable: result.unavailable }
  return { ...notMeasured, rated_up: compareLikelihoods(result.scored) ?? null }
}

function toExample({ prompt, answer }: PastConversation): TrainingExample {
  if (prompt.type === 'text') return { type: 'text', text: prompt.text + answer }
  // The turns before it were said by anybody, and rated by nobody.
  const learned = [prompt.messages.length]
  return { type: 'chat', messages: [...prompt.messages, { role: 'assistant', content: answer }], learned }
}

// The answer of that time is no reference: it would favour the model that gave it.
function toAsked({ prompt, predictionId, model, rating }: PastConversation): Asked {
  const past = { prediction_id: predictionId, model, rating: rating ?? null }
  return { set: 'conversation', prompt, question: questionOf(prompt), references: [], past }
}
