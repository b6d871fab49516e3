/** One message of a conversation. */
export type ChatMessage = Readonly<{ role: 'system' | 'user' | 'assistant'; content: string }>

/**
 * What the model is to continue: a text as it stands, or a conversation that the model's own chat template turns into one.
 * Special tokens that a caller typed stay ordinary text in both.
 */
export type Prompt = Readonly<{ type: 'text'; text: string }> | Readonly<{ type: 'chat'; messages: readonly ChatMessage[] }>

/** How the next token is chosen. All are resolved: the route fills in the defaults. */
export type SamplingParameters = Readonly<{
  /** 0 takes the likeliest token each time (greedy). */
  temperature: number
  /** Nucleus: the smallest set of tokens whose probabilities add up to this. 1 switches it off. */
  topP: number
  /** Only the k likeliest tokens. 0 switches it off. */
  topK: number
  /** Only tokens at least this fraction as likely as the likeliest one. 0 switches it off. */
  minP: number
  /** Above 1, tokens among the last 64 become less likely. 1 switches it off. */
  repeatPenalty: number
  /** From 0 to 2^32 − 1. The same seed, prompt and parameters give the same text. Undefined: a random one each time. */
  seed: number | undefined
}>

export type GenerateRequest = Readonly<{
  prompt: Prompt
  /** At most this many new tokens for each choice; undefined: up to the end of the context window. */
  maxTokens: number | undefined
  /** How many answers to the same prompt; the prompt is evaluated once. */
  choices: number
  sampling: SamplingParameters
  /** Texts that end the answer; the text itself is not part of it. The earliest match wins. */
  stop: readonly string[]
  /** A GBNF grammar that the answer must follow, or undefined for free text. */
  grammar: string | undefined
  /** Who asks: the queue takes turns between different values. */
  user: string
}>

export type Usage = Readonly<{
  promptTokens: number
  completionTokens: number
  /** Prompt tokens whose state was already in memory and was not computed again. */
  cachedPromptTokens: number
}>

export type Timings = Readonly<{
  /** From the request's arrival to the start of its prompt. */
  queueMs: number
  /** Evaluating the prompt. */
  promptMs: number
  /** From the request's arrival to its first token. */
  firstTokenMs: number
  /** From the first token to the last. */
  generationMs: number
  /** Tokens per second from the first token to the last, all choices together; 0 where there are fewer than two. */
  tokensPerSecond: number
}>

export type FinishReason = 'stop' | 'length'

export type GenerateEvent =
  | Readonly<{ type: 'text-delta'; index: number; text: string }>
  | Readonly<{ type: 'choice-end'; index: number; reason: FinishReason }>
  | Readonly<{ type: 'generation-end'; usage: Usage; timings: Timings }>

/** What is known of a model that can answer. */
export type ModelInfo = Readonly<{
  /** The installed name: its file name in the models folder without `.gguf`. */
  name: string
  /** Changes when the file changes (path, size, time of last change); part of each cache key. */
  identity: string
  /** Where it computes: `cpu`, `cuda`, `vulkan`, `metal`. */
  device: string
  /** Prompt and answer together, in tokens. */
  contextSize: number
  /** For example `Q4_K - Medium`. */
  quantization: string
  architecture: string
  /** What keys and values of the attention are kept in. */
  cacheType: 'f16' | 'q8_0'
  parameters: number
  sizeBytes: number
  /** Whether the file carries a chat template of its own. */
  hasChatTemplate: boolean
  threads: number
}>

/** Something that answers prompts: a local model, or (by choice) a cloud service. */
export interface Provider {
  readonly name: string
  readonly ranOn: 'local' | 'cloud'
  /** What answers now; throws `unavailable` while nothing can. */
  model(): ModelInfo
  /**
   * Yields the answer piece by piece. Each choice ends with `choice-end`; the last event is always `generation-end`.
   * Leaving the loop early, or `signal`, frees the model within one step.
   * Throws `busy` when the queue is full, `context_length_exceeded`, `invalid` (a grammar that does not parse),
   * `unavailable` (no model, or the engine died), `aborted`.
   */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent>
  close(): Promise<void>
}

/** A provider whose model can be changed while it runs. */
export interface ModelHost extends Provider {
  /**
   * Loads the named model, then switches to it; requests in flight end on the old one.
   * A failed load changes nothing. Throws `not_found`, `invalid` (a file that is no whole model), `unavailable`.
   */
  load(name: string, signal?: AbortSignal): Promise<ModelInfo>
  /** The names of the models that are installed, in alphabetical order. */
  list(): Promise<readonly string[]>
  /** Numbers for `/metrics` and `/health/ready`. */
  status(): EngineStatus
}

export type EngineStatus = Readonly<{
  state: 'empty' | 'loading' | 'ready' | 'failed'
  /** Why nothing can answer, in `failed` (and in `empty`, what to do). */
  reason: string | undefined
  /** Choices being generated now. */
  active: number
  /** Requests that wait for a place. */
  queued: number
  /** Bytes of resident memory of the engine's process, or 0. */
  residentBytes: number
}>
