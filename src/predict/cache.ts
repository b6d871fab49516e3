import { hash } from 'node:crypto'
import { LRUCache } from 'lru-cache'
import { type AnswerFormat, defaultedSampling, type GenerateRequest, type Tool } from '../engine/provider.ts'
import { isGiven } from '../engine/sampling.ts'
import type { CollectedAnswer, CompletionChoice } from './collect.ts'

/** Everything that can change an answer: what computes it, what is asked, and who asks. */
export type CacheQuestion = Readonly<{ provider: string; modelIdentity: string; request: Omit<GenerateRequest, 'model'> }>

export type CacheStatistics = Readonly<{ entries: number; hits: number; misses: number; evictions: number }>

/** Whole answers to deterministic requests, least recently used out first, each for a limited time. It never rejects. */
export interface AnswerCache {
  find(key: string): Promise<CollectedAnswer | undefined>
  save(key: string, answer: CollectedAnswer): Promise<void>
  statistics(): CacheStatistics
}

export type CacheOptions = Readonly<{
  /** 0 switches the cache off. */
  maxEntries: number
  ttlSeconds: number
  /** Milliseconds, from any fixed moment. */
  now: () => number
}>

/** What the score of a token takes, with its text and bytes. */
const charactersPerToken = 100
/** Answers are text in memory: this bounds them together, whatever the number of entries. */
const maxCharacters = 64 * 1024 * 1024

/**
 * SHA-256 of the question. The fields are written out in a fixed order as one JSON array, so that neither the order of keys in
 * a request nor a separator inside a text can make two questions look alike or one question look like two.
 */
export function cacheKey({ provider, modelIdentity, request }: CacheQuestion): string {
  const { prompt, sampling } = request
  const question = [
    provider,
    modelIdentity,
    request.user,
    inFixedOrder(prompt),
    request.maxTokens ?? null,
    request.choices,
    sampling.temperature,
    sampling.topP,
    sampling.topK,
    sampling.minP,
    sampling.repeatPenalty,
    sampling.frequencyPenalty ?? 0,
    sampling.presencePenalty ?? 0,
    inFixedOrder(sampling.logitBias ?? {}),
    sampling.seed ?? null,
    // Who is told these alone answers otherwise where there are others.
    defaultedSampling.filter((name) => isGiven(sampling, name)),
    request.stop,
    request.format === undefined ? null : inFixedOrder(request.format),
    request.logprobs ?? null,
  ]
  return hash('sha256', JSON.stringify(question))
}

/** Fields with a JSON schema: the order of its properties is their order in the answer, and in what a model is told of a tool. */
const schemaFields: ReadonlySet<string> = new Set(['schema', 'parameters'] satisfies readonly (
  | keyof JsonSchemaFormat
  | keyof Tool
)[])
type JsonSchemaFormat = Extract<AnswerFormat, { type: 'json-schema' }>

/** Objects as lists of their fields, sorted, but for schemas; whether a text was a key or a value stays told. */
function inFixedOrder(value: unknown): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (Array.isArray(value)) return ['list', ...value.map(inFixedOrder)]
  const fields = Object.entries(value).filter(([, field]) => field !== undefined)
  const written = fields.map(
    ([name, field]) => [name, schemaFields.has(name) ? JSON.stringify(field) : inFixedOrder(field)] as const,
  )
  return ['fields', ...written.sort(([a], [b]) => (a < b ? -1 : 1))]
}

/**
 * Whether asking again must give the same text: only then may an answer be kept. Not by a temperature that the caller did not choose: a
 * cloud is not told it, and draws at its own.
 */
export function isDeterministic({ sampling }: Pick<GenerateRequest, 'sampling'>): boolean {
  return (sampling.temperature === 0 && isGiven(sampling, 'temperature')) || sampling.seed !== undefined
}

/** In the memory of this process. */
export function createCache({ maxEntries, ttlSeconds, now }: CacheOptions): AnswerCache {
  let hits = 0
  let misses = 0
  let evictions = 0
  if (maxEntries === 0 || ttlSeconds === 0) return noCache
  const answers = new LRUCache<string, CollectedAnswer>({
    max: maxEntries,
    maxSize: maxCharacters,
    sizeCalculation: (answer) => 1 + sizeOfAnswer(answer),
    ttl: ttlSeconds * 1000,
    ttlResolution: 0,
    perf: { now },
    dispose: (_answer, _key, reason) => {
      if (reason === 'evict') evictions += 1
    },
  })
  return {
    async find(key) {
      const answer = answers.get(key)
      if (answer === undefined) misses += 1
      else hits += 1
      return answer
    },
    async save(key, answer) {
      answers.set(key, answer)
    },
    statistics: () => ({ entries: answers.size, hits, misses, evictions }),
  }
}

/** About its characters in memory. */
export const sizeOfAnswer = ({ choices }: CollectedAnswer): number => choices.reduce((sum, choice) => sum + sizeOf(choice), 0)

/** A token is some numbers and a text. */
function sizeOf({ text, reasoning, reasoningSignature = '', toolCalls, tokens }: CompletionChoice): number {
  const calls = toolCalls.reduce((sum, call) => sum + call.name.length + call.arguments.length, 0)
  const scores = tokens.reduce((sum, { top }) => sum + charactersPerToken * (1 + top.length), 0)
  return text.length + reasoning.length + reasoningSignature.length + calls + scores
}

export const noCache: AnswerCache = {
  find: async () => undefined,
  save: async () => {},
  statistics: () => ({ entries: 0, hits: 0, misses: 0, evictions: 0 }),
}
