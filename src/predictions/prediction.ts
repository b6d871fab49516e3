import type { FinishReason, Prompt, SamplingParameters, Timings, ToolCall } from '../engine/provider.ts'
import type { PredictionsTable } from '../storage/learning-tables.ts'
import type { Database } from '../storage/tables.ts'

/** Whose a prediction is: its user's, or else of whoever has the same key (without an account: the same address). */
export type PredictionOwner = Readonly<{ key: string; userId: string | undefined }>

export type StoredChoice = Readonly<{
  index: number
  text: string
  /** `stopped`: it was left, stopped or broke off there. */
  reason: FinishReason | 'stopped'
  /** Absent: none. */
  reasoning?: string
  toolCalls?: readonly ToolCall[]
  /** Which of the request's stop texts ended it. */
  stopText?: string
}>

export type StoredParameters = Readonly<{
  maxTokens?: number
  choices: number
  sampling: Omit<SamplingParameters, 'seed'> & Readonly<{ seed?: number }>
  stop: readonly string[]
  format?: Readonly<{ type: 'json-object' | 'json-schema'; schema?: unknown; name?: string }>
  logprobs?: number
  /** What was asked, where the prompt was made around it: a question to documents. */
  question?: string
}>

/** An answer that is remembered. */
export type Prediction = Omit<PredictionsTable, 'prompt' | 'choices' | 'parameters' | 'timings'> &
  Readonly<{
    prompt: Prompt
    choices: readonly StoredChoice[]
    parameters: StoredParameters
    timings: Timings | null
    /** That of the latest feedback on it. */
    rating: 'up' | 'down' | null
  }>

/** What lists tell of one. The texts are beginnings. */
export type PredictionSummary = Pick<
  PredictionsTable,
  'id' | 'ownerId' | 'ownerKey' | 'excerpt' | 'provider' | 'model' | 'ranOn' | 'rolloutId' | 'createdAt'
> &
  Readonly<{ answer: string; rating: 'up' | 'down' | null }>

export type PredictionFilter = Readonly<{
  model?: string
  /** That of the latest feedback; `none`: it has none. */
  rating?: 'up' | 'down' | 'none'
  /** UTC ISO 8601 texts. `from` is included, `to` is not. */
  from?: string
  to?: string
}>

export type PredictionPage = Readonly<{ items: readonly PredictionSummary[]; nextCursor: string | undefined }>
export type PageOptions = Readonly<{ limit: number; cursor: string | undefined }>

/** Remembered answers. Where an owner is named, those of others are not there. */
export interface Predictions {
  /** Newest first; of all owners where none is named. Throws `invalid` for a cursor that is not one of ours. */
  list(owner: PredictionOwner | undefined, filter: PredictionFilter, page: PageOptions): Promise<PredictionPage>
  find(owner: PredictionOwner | undefined, id: string): Promise<Prediction | undefined>
  /** With the feedback on it. Whether there was one. */
  remove(owner: PredictionOwner | undefined, id: string): Promise<boolean>
  /** With the feedback on them, some at a time; tells how many there were. What is answered meanwhile stays. */
  removeAll(owner: PredictionOwner): Promise<number>
  /** Whether answers to the user are remembered, as far as the user says. */
  isKeptFor(userId: string): Promise<boolean>
  /** Counts from the next answer that ends. */
  setKept(userId: string, isKept: boolean): Promise<void>
}

export type PredictionsParts = Readonly<{ db: Database; now: () => number }>
