import type { ModelLoad } from './engine-work.ts'

/** A function that the model wants to be called. */
export type ToolCall = Readonly<{
  /** Made by who answers; the result is sent back under it. */
  id: string
  name: string
  /** A JSON object, as text. A model may have written it wrong. */
  arguments: string
}>

/** One message of a conversation. */
export type ChatMessage =
  | Readonly<{ role: 'system'; content: string }>
  /** Images are `data:` or `https:` addresses, and stand before the text. */
  | Readonly<{ role: 'user'; content: string; images?: readonly string[] }>
  | Readonly<{
      role: 'assistant'
      content: string
      toolCalls?: readonly ToolCall[]
      /** What it thought before it answered; the signature is that of the provider which wrote it (see thoughts.ts). */
      reasoning?: string
      reasoningSignature?: string
    }>
  /** What a call has given. */
  | Readonly<{ role: 'tool'; content: string; toolCallId: string }>

/** A function that the caller offers. */
export type Tool = Readonly<{
  name: string
  description?: string
  /** A JSON schema of an object: the arguments. */
  parameters: unknown
  /** Where the request holds the schema, for error messages: `tools.0.function.parameters`. Absent: `tools/0/parameters`. */
  field?: string
}>

export type Tools = Readonly<{
  tools: readonly Tool[]
  /** `auto`: the model decides; `required`: it must call one or more; a name: it must call this one. */
  choice: 'auto' | 'none' | 'required' | Readonly<{ name: string }>
  /** Whether it may call several in one answer. */
  parallel: boolean
}>

/** How long a model thinks before it answers, where it can; `none`: not at all. */
export type ReasoningEffort = 'none' | 'low' | 'medium' | 'high'

export type ChatPrompt = Readonly<{
  type: 'chat'
  /** Where the last message is the assistant's, and calls nothing, the answer goes on where it ends. */
  messages: readonly ChatMessage[]
  tools?: Tools
  /** Absent: as the model usually does. */
  reasoning?: ReasoningEffort
}>

/**
 * What the model is to continue: a text as it stands, or a conversation that the model's own chat template turns into one.
 * Special tokens that a caller typed stay ordinary text in both.
 */
export type Prompt = Readonly<{ type: 'text'; text: string }> | ChatPrompt

/** What the answer must be. A model that reasons does so first, freely. */
export type AnswerFormat =
  | Readonly<{ type: 'json-object' }>
  | Readonly<{
      type: 'json-schema'
      schema: unknown
      /** As the caller calls it. */
      name?: string
      /** Where the request holds the schema, for error messages: `response_format.json_schema.schema`. */
      field: string
    }>

/** The sampling parameters for which there is a default. */
export const defaultedSampling = ['temperature', 'topP', 'topK', 'minP', 'repeatPenalty'] as const
export type DefaultedSampling = (typeof defaultedSampling)[number]

/** How the next token is chosen. All are resolved: the route fills in the defaults. */
export type SamplingParameters = Readonly<{
  /** 0 takes the likeliest token each time (greedy). */
  temperature: number
  /** Nucleus: the smallest set of tokens whose probabilities add up to this; 0: the likeliest one. 1 switches it off. */
  topP: number
  /** Only the k likeliest tokens. 0 switches it off. */
  topK: number
  /** Only tokens at least this fraction as likely as the likeliest one. 0 switches it off. */
  minP: number
  /** Above 1, tokens among the last 64 become less likely. 1 switches it off. */
  repeatPenalty: number
  /** Lowers the score of a token by this for each time that the answer holds it already. Absent: 0. */
  frequencyPenalty?: number
  /** Lowers the score of a token by this once the answer holds it. Absent: 0. */
  presencePenalty?: number
  /** Added to the scores of tokens, by their number in the model's vocabulary; -100 forbids one. */
  logitBias?: Readonly<Record<string, number>>
  /**
   * Those with a default that the caller chose. Models of this machine keep to all; a cloud is told these alone, and refuses those that it
   * cannot keep to. Absent: all were chosen.
   */
  given?: readonly DefaultedSampling[]
  /** From 0 to 2^32 − 1. The same seed, prompt and parameters give the same text. Undefined: a random one each time. */
  seed: number | undefined
}>

export type GenerateRequest = Readonly<{
  /** What answers: a name that `choose` gave. */
  model: string
  prompt: Prompt
  /** At most this many new tokens for each choice; undefined: up to the end of the context window. */
  maxTokens: number | undefined
  /** How many answers to the same prompt; the prompt is evaluated once. */
  choices: number
  sampling: SamplingParameters
  /** Texts that end the answer; the text itself is not part of it. The earliest match wins. */
  stop: readonly string[]
  /** Absent: free text. */
  format?: AnswerFormat
  /** With each token its log-probability, and those of so many of the likeliest tokens in its place. Absent: none. */
  logprobs?: number
  /** Who asks: the queue takes turns between different values. */
  user: string
}>

/** Where a provider tells no counts, an estimate. */
export type Usage = Readonly<{
  promptTokens: number
  completionTokens: number
  /** Prompt tokens whose state was already in memory and was not computed again. */
  cachedPromptTokens: number
  /** Those of the completion tokens that were thought, where it is known. */
  reasoningTokens?: number
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

/** `stop`: the model ended its turn, or wrote a stop text. */
export type FinishReason = 'stop' | 'length' | 'tool-calls' | 'content-filter'

export type TokenScore = Readonly<{
  /** Bytes that are no whole character stand in it as OpenAI writes them: `\xf0\x9f`. */
  text: string
  /** UTF-8; a token may hold a part of a character only. */
  bytes: readonly number[]
  /** Natural logarithm of the probability that the model gave it, before anything was cut or penalized. At least −9,999. */
  logprob: number
}>

/** A token of the answer; `top`: the likeliest tokens in its place, likeliest first. */
export type TokenLogprob = TokenScore & Readonly<{ top: readonly TokenScore[] }>

export type GenerateEvent =
  /**
   * `tokens` where log-probabilities were asked for: those that begin in the text. Their bytes add up to the answer's text, but for the
   * end of a token that a stop text cuts. At the end of an answer they may come with no text.
   */
  | Readonly<{ type: 'text-delta'; index: number; text: string; tokens?: readonly TokenLogprob[] }>
  /** What it thinks before it answers, or between. `signature`: of all that was thought since the last one; a thought ends there. */
  | Readonly<{ type: 'reasoning-delta'; index: number; text: string; signature?: string }>
  /** `call` counts the calls of the choice from 0. Its arguments follow in pieces, before the next call begins. */
  | Readonly<{ type: 'tool-call-start'; index: number; call: number; id: string; name: string }>
  | Readonly<{ type: 'tool-call-delta'; index: number; call: number; text: string }>
  /** `stopText`: which of the request's stop texts ended it. */
  | Readonly<{ type: 'choice-end'; index: number; reason: FinishReason; stopText?: string }>
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

/** A model by its full name. */
export type ChosenModel = Readonly<{
  name: string
  /** Changes when what would answer changes (path, size, time of last change); part of each cache key. */
  identity: string
}>

/** Something that answers prompts: local models, or (by choice) a cloud service. */
export interface Provider {
  readonly name: string
  readonly ranOn: 'local' | 'cloud'
  /** The models that it is known to have, for lists; a host tells more by its own `list`. */
  readonly models?: ReadonlyArray<Readonly<{ name: string /** In tokens. */; contextSize?: number }>>
  /**
   * Names what would answer: the model that is asked for, or else the selected one. It need not be in memory.
   * Throws `not_found`, `invalid` (a name that is none, a model that answers no prompts), `unavailable` (none is selected).
   */
  choose(model: string | undefined): Promise<ChosenModel>
  /**
   * Yields the answer piece by piece. Each choice ends with `choice-end`; the last event is always `generation-end`.
   * A model that is not in memory is loaded first. Leaving the loop early, or `signal`, frees the model within one step.
   * Throws `busy` when the queue is full, `context_length_exceeded`, `invalid` (a schema that cannot be kept to, a bias for what is no
   * token, images for a model that does not see, a model that cannot be loaded), `unavailable` (the engine died), `aborted`; a cloud
   * provider `upstream`, `rate_limited`, `not_found`, `too_large` and `forbidden` (LOCAL_ONLY), too. `onSent` is called once the request
   * has its turn and the prompt goes to the model: from then on it may cost something.
   */
  generate(request: GenerateRequest, signal: AbortSignal, onSent?: () => void): AsyncIterable<GenerateEvent>
  /** The tokens that a prompt has, as `generate` would count them. Throws like `generate`. */
  countTokens(request: Pick<GenerateRequest, 'model' | 'prompt' | 'user'>, signal: AbortSignal): Promise<number>
  close(): Promise<void>
}

/** `unloaded`: not in memory, and loaded when a request needs it. */
export type ModelState = 'unloaded' | 'loading' | 'ready' | 'failed'

/** What an installed file is for. Only `chat` answers prompts; an adapter does so on a base, as `base+adapter`. */
export type ModelKind = 'chat' | 'embedding' | 'reranker' | 'adapter' | 'projector' | 'unknown'

/** What the header of a model's file says of it. A number that it does not tell is 0. */
export type ModelHeader = Readonly<{
  architecture: string
  quantization: string
  parameters: number
  /** Bytes of its files. */
  sizeBytes: number
  /** Tokens that it was trained for. */
  trainedContext: number
  /** Bytes of memory that it takes once it is loaded and busy. */
  estimatedBytes: number
}>

/** An installed model. */
export type ListedModel = Readonly<{
  /** `base+adapter` for an adapter on a base. */
  name: string
  /** The name of what is loaded for it: itself, or the base of an adapter. */
  base: string
  aliases: readonly string[]
  kind: ModelKind
  /** Undefined where the file cannot be read. */
  header: ModelHeader | undefined
  /** Why the file cannot be used. */
  problem: string | undefined
}>

/** One of the models of a host. An adapter has the state of its base, which answers for both. */
export type HostedModel = ListedModel &
  Readonly<{
    selected: boolean
    state: ModelState
    /** Why it cannot answer, in `failed`. */
    reason: string | undefined
    /** What is known of it once it is in memory. */
    info: ModelInfo | undefined
    /** Choices being generated now, and requests that wait for a place. */
    active: number
    queued: number
    /** Requests answered since the service started. */
    served: number
    /** Bytes that its process takes, as far as known; 0 while it is not in memory. */
    memoryBytes: number
    /** Milliseconds since 1970. */
    loadedAt: number | undefined
    usedAt: number | undefined
  }>

/** A provider of several models, which come into memory when they are needed and leave it when others need the room. */
export interface ModelHost extends Provider {
  /**
   * Loads the named model, then makes it the one that answers who names none; the one before leaves memory when it is idle.
   * A failed load changes nothing. Throws `not_found`, `invalid` (a file that is no whole model, or too large for the memory
   * budget), `unavailable`.
   */
  select(name: string, signal?: AbortSignal): Promise<ModelInfo>
  /** Loads the named model. Throws like `select`. */
  load(name: string, signal?: AbortSignal): Promise<ModelInfo>
  /** Takes the named model out of memory, once nobody uses it. Throws `not_found`. */
  unload(name: string): Promise<void>
  /** Whether a file is in memory or selected: then it must stay. An adapter, by its own name: while it is selected, and while it answers. */
  isInUse(name: string): boolean
  /** The selected model; its info, once it is in memory. */
  selected(): Readonly<{ name: string; info: ModelInfo | undefined }> | undefined
  /** All installed models, in alphabetical order. */
  list(): Promise<readonly HostedModel[]>
  /** Numbers for `/metrics` and `/health/ready`. */
  status(): EngineStatus
  memory(): ModelMemory
}

/** Bytes that all models of a host may take, and that those in memory take: what their files say they do, or more where they do. */
export type ModelMemory = Readonly<{ budgetBytes: number; usedBytes: number }>

export type EngineStatus = Readonly<{
  /** Of the selected model; `empty`: none is selected. */
  state: 'empty' | ModelState
  /** Why nothing can answer, in `failed` (and in `empty`, what to do). */
  reason: string | undefined
  /** Choices being generated now, by all models. */
  active: number
  /** Requests that wait for a place. */
  queued: number
  /** Bytes of resident memory of the engines' processes. */
  residentBytes: number
  /** Each model that is or was in memory. */
  models: readonly ModelLoad[]
}>
