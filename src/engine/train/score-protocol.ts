import type { JobFailed } from '../local/run-job.ts'
import type { LeftOutReason } from './example-tokens.ts'

/** Examples whose texts are to be scored by a model. */
export type ScoreJob = Readonly<{
  /** A GGUF file. */
  modelPath: string
  /** A LoRA adapter that is added to it. */
  adapterPath: string | undefined
  /** JSON lines of `TrainingExample`. */
  examplesFile: string
  /** In tokens; longer examples are left out, and told, as are those longer than what the model was trained for. */
  maxLength: number
  threads: number
}>

export type ToScorer =
  | Readonly<{ type: 'score-start'; job: ScoreJob }>
  /** An event has been read. */
  | Readonly<{ type: 'score-next' }>

/** `targets`: tokens that were predicted; `logprob`: the sum of the natural logarithms of their probabilities. */
export type TextScore = Readonly<{ targets: number; logprob: number }>

export type ExampleScore =
  /** A conversation (its answers) or a plain text (all of it). */
  | (Readonly<{ type: 'text' }> & TextScore)
  | Readonly<{ type: 'preference'; chosen: TextScore; rejected: TextScore }>
  | Readonly<{ type: 'left-out'; reason: LeftOutReason }>

export type ScoreTotals = Readonly<{
  /** Examples that were scored, and those left out because they are too long or have nothing to predict. */
  examples: number
  tooLong: number
  empty: number
  /** Tokens that were predicted; of preferences, those of the chosen answers. */
  targets: number
  /** Mean negative log-likelihood of these, in nats a token; undefined when there are none. */
  meanNll: number | undefined
  /** Preferences, and those whose chosen answer is likelier than the rejected one. */
  preferences: number
  preferred: number
  /** Tokens that the model has read, prompts included, for each second that it worked. */
  tokensPerSecond: number
}>

export type ScoreEvent =
  /** `index`: of the example in its file, from 0. */
  Readonly<{ type: 'example-scored'; index: number; score: ExampleScore }> | Readonly<{ type: 'score-end'; totals: ScoreTotals }>

export type FromScorer = ScoreEvent | JobFailed
