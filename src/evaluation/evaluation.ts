import type { AnswerFormat, Prompt } from '../engine/provider.ts'
import type { TrainingExample } from '../engine/train/example.ts'
import type { Asker, Target } from '../predict/predict.ts'
import type { EvaluationReport } from './report-schema.ts'
import type { Thresholds } from './schema.ts'

/** One of the two that are compared: what answers, and where. */
export type Contestant = Pick<Target, 'provider' | 'model' | 'ranOn'>

/** The two sides of every comparison. */
export const sides = ['baseline', 'candidate'] as const
export type Side = (typeof sides)[number]
export type Both<T> = Readonly<Record<Side, T>>

/** How likely a model finds what it should have written. */
export type Likelihood = Readonly<{
  /** Sum of the natural logarithms of the probabilities of the tokens. */
  logprob: number
  tokens: number
}>

export type ExampleScore =
  | (Readonly<{ type: 'text' }> & Likelihood)
  | Readonly<{ type: 'pair'; chosen: Likelihood; rejected: Likelihood }>
  /** Too long for the model, or with nothing to score. */
  | Readonly<{ type: 'left-out' }>

/** A model of this machine, as the process that scores opens it. */
export type ModelFiles = Readonly<{ modelPath: string; adapterPath: string | undefined }>

/** Gives a score for each example, in their order. Throws what the process of the scores throws, and `aborted`. */
export type Score = (
  model: ModelFiles,
  examples: readonly TrainingExample[],
  options: Readonly<{ onProgress: (done: number) => void; signal: AbortSignal }>,
) => Promise<readonly ExampleScore[]>

export type Question = Readonly<{ prompt: Prompt; maxTokens: number; format?: AnswerFormat }>

export type GivenAnswer = Readonly<{
  text: string
  tokens: number
  /** 0 where it is not known. */
  tokensPerSecond: number
}>

/** Asks at temperature 0. Throws what `Predict.complete` throws. */
export type Ask = (who: Contestant, question: Question, asker: Asker, signal: AbortSignal) => Promise<GivenAnswer>

/** The held-out part of a dataset, in its order. */
export type HeldOut = Readonly<{
  dataset: Readonly<{ id: string; name: string; version: number }>
  /** Of all its rows. */
  count: number
  /** As many of the first as were asked for. */
  examples: readonly TrainingExample[]
}>

/** What somebody asked in the past, and got. */
export type PastConversation = Readonly<{
  predictionId: string
  prompt: Prompt
  answer: string
  model: string
  rating: 'up' | 'down' | undefined
}>

export type RecentConversations = (userId: string, count: number) => Promise<readonly PastConversation[]>

/** What is done, from now on. `total` is how many there are of what the stage does. */
export type Progress = Readonly<{ stage: Stage; done: number; total: number }>
export const stages = ['score-baseline', 'score-candidate', 'answer-baseline', 'answer-candidate', 'judge'] as const
export type Stage = (typeof stages)[number]

/** What an evaluation is to do, with everything that is not said filled in. */
export type Plan = Readonly<{
  asker: Asker
  baseline: Contestant
  candidate: Contestant
  judge: Contestant | undefined
  /** Most new tokens of an answer to a held-out question or in a conversation. */
  maxTokens: number
}> &
  (
    | Readonly<{
        kind: 'gate'
        datasetId: string | undefined
        maxRows: number
        maxQuestions: number
        thresholds: Required<Thresholds>
      }>
    | Readonly<{ kind: 'upgrade'; userId: string; conversations: number }>
  )

export type Work = Readonly<{
  ask: Ask
  score: Score
  /** Undefined for a model that is not on this machine. */
  findFiles: (who: Contestant) => Promise<ModelFiles | undefined>
  /** Throws `not_found`. */
  readHeldOut: (datasetId: string, most: number) => Promise<HeldOut>
  recentConversations: RecentConversations
  /** Resolves after so many milliseconds; rejects when the signal aborts. */
  wait: (ms: number, signal: AbortSignal) => Promise<unknown>
}>

/** `runId`: the training run whose adapter it is about. */
export type Started = Readonly<{ id: string; runId: string | undefined; plan: Plan }>

/** Runs one evaluation to its end. The same plan over the same models gives the same report, but for speeds. */
export type Evaluate = (
  started: Started,
  onProgress: (progress: Progress) => void,
  signal: AbortSignal,
) => Promise<EvaluationReport>
