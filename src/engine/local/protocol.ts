import type { ErrorCode } from '../../errors.ts'
import type { PromptPart } from '../chat-template-tokens.ts'
import type { ContextMemory, EngineWork } from '../engine-work.ts'
import type { FinishReason, SamplingParameters, Timings, TokenLogprob, Usage } from '../provider.ts'
import type { CacheType } from './cache-type.ts'
import type { LayerSize } from './devices.ts'

/** What a child process is to open, once, before anything else. */
export type LoadOptions = Readonly<{
  path: string
  /** Prompt and answer of one request together, in tokens; undefined: what the model was trained for, 4,096 at most. */
  contextSize: number | undefined
  /** What the cells of the context are kept in; auto: in 8 bits when memory is short. */
  cacheType: 'auto' | CacheType
  /** Answers generated at once. */
  maxParallel: number
  threads: number
  /** Whether answers that repeat a passage are drafted from it (speculative decoding). */
  speculates: boolean
  device: 'auto' | 'cpu' | 'cuda' | 'metal' | 'vulkan'
  /** What the model's layers take, so that as many go to a GPU as fit; undefined: all of them. */
  size?: LayerSize
  /** The type of the matrix that scores come from, as ggml calls it; undefined: not known. */
  outputType?: string | undefined
}>

/** A LoRA adapter that is installed. */
export type AdapterFile = Readonly<{
  name: string
  path: string
  /** Changes when the file does. */
  identity: string
}>

export type StartOptions = Readonly<{
  /** The identity of an adapter that is loaded; undefined: the model as it is. */
  adapter: string | undefined
  prompt: readonly PromptPart[]
  maxTokens: number | undefined
  choices: number
  sampling: Omit<SamplingParameters, 'seed'> & Readonly<{ seed: number }>
  /** Whether the same request must give the same text whatever else runs: a seed was given, or the temperature is 0. */
  repeatable: boolean
  stop: readonly string[]
  /** Whether a space at the very start of the answer is left out. */
  dropsFirstSpace: boolean
  /** GBNF that the answer keeps to. */
  grammar: string | undefined
  /** The answer is free until it holds this text, and the grammar holds from there on. Not empty. Absent: it holds from the start. */
  grammarAfter?: string
  /**
   * With `grammarAfter`: whether the answer is free again as soon as the grammar may end, until the text comes again. Absent: the grammar
   * holds to the end of the answer.
   */
  grammarRepeats?: boolean
  /** With `grammarAfter`: whether the answer cannot end before that text has come. Absent: it can. */
  grammarRequired?: boolean
  /** Names of control tokens that are part of the text when they come; the others are not. Those that end an answer never are. */
  shownTokens?: readonly string[]
  /** As in `GenerateRequest`. */
  logprobs?: number
}>

export type ToWorker =
  | Readonly<{ type: 'model-load'; options: LoadOptions }>
  | Readonly<{ type: 'adapter-load'; adapter: AdapterFile }>
  | Readonly<{ type: 'generation-start'; id: number; options: StartOptions }>
  | Readonly<{ type: 'generation-cancel'; id: number }>
  | Readonly<{ type: 'tokens-count'; id: number; prompt: readonly PromptPart[] }>

/** What the file and the context say of a loaded model. */
export type LoadedModel = Readonly<{
  contextSize: number
  device: string
  threads: number
  quantization: string
  cacheType: CacheType
  architecture: string
  parameters: number
  sizeBytes: number
  /** How many tokens it knows; they have the numbers below this. */
  vocabularySize: number
  chatTemplate: string | undefined
  bosToken: string
  eosToken: string
  /** The text of each token that a tokenizer would take for a command rather than for text. */
  controlTokens: readonly string[]
}>

export type GenerationEvent =
  | Readonly<{ type: 'text-delta'; id: number; index: number; text: string; tokens?: readonly TokenLogprob[] }>
  /** `stopText`: which of `stop` ended it. */
  | Readonly<{ type: 'choice-end'; id: number; index: number; reason: FinishReason; stopText?: string }>
  | Readonly<{ type: 'generation-end'; id: number; usage: Usage; timings: Omit<Timings, 'queueMs'> }>
  | Readonly<{ type: 'generation-error'; id: number; code: ErrorCode; message: string }>

/** What a process tells of itself, now and then. */
export type EngineReport = Readonly<{ residentBytes: number; work: EngineWork; memory: ContextMemory }>

export type FromWorker =
  | Readonly<{ type: 'model-ready'; model: LoadedModel }>
  | Readonly<{ type: 'model-failed'; code: ErrorCode; message: string }>
  | Readonly<{ type: 'adapter-ready'; identity: string }>
  | Readonly<{ type: 'tokens-counted'; id: number; tokens: number }>
  | Readonly<{ type: 'adapter-failed'; identity: string; code: ErrorCode; message: string }>
  /** All that one step of the scheduler brought, for every request. */
  | Readonly<{ type: 'events'; events: readonly GenerationEvent[]; report?: EngineReport }>
