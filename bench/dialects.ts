import { firstAt, isObject, type JsonObject, numberAt, objectAt, parseObject, textAt } from './json.ts'
import type { Ask } from './target.ts'

/** What every server is told alike, so that none draws from another distribution than the others. */
export type Sampling = Readonly<{ temperature: number; topK: number; topP: number; minP: number; repeatPenalty: number }>

export type Usage = Readonly<{ promptTokens: number; completionTokens: number }>

/** What one event of a stream holds. */
export type Piece = Readonly<{ hasText: boolean; usage?: Usage; failure?: string }>

/** One way to ask a server for a stream. */
export type Dialect = Readonly<{
  path: string
  /** Stands behind each event. */
  separator: string
  /** It ends some streams early and tells no counts then: a piece of text is taken for one token. */
  mayBreakOff?: true
  body(ask: Ask, sampling: Sampling, model: string | undefined): JsonObject
  read(event: string): Piece
}>

const nothing: Piece = { hasText: false }

export const dialects = {
  simpleia: {
    path: '/predict',
    separator: '\n\n',
    body: ({ prompt, maxTokens }, sampling) => ({ prompt, max_length: maxTokens, stream: true, ...commonSampling(sampling) }),
    read(event) {
      const data = dataOf(event)
      if (!event.startsWith('event: ')) return { hasText: data !== '' }
      const usage = objectAt(parseObject(data), 'usage')
      if (event.startsWith('event: done')) return { hasText: false, usage: openaiUsage(usage) }
      return { hasText: false, failure: data }
    },
  },
  llama: {
    path: '/completion',
    separator: '\n\n',
    body: ({ prompt, maxTokens }, sampling) => ({
      prompt,
      n_predict: maxTokens,
      cache_prompt: true,
      stream: true,
      ...commonSampling(sampling),
    }),
    read(event) {
      const answer = parseObject(dataOf(event))
      if (!event.startsWith('data: ') || 'error' in answer) return { hasText: false, failure: event }
      const hasText = textAt(answer, 'content') !== undefined
      if (answer.stop !== true) return { hasText }
      const usage = {
        promptTokens: numberAt(answer, 'tokens_evaluated'),
        completionTokens: numberAt(answer, 'tokens_predicted'),
      }
      return { hasText, usage }
    },
  },
  ollama: {
    path: '/api/generate',
    separator: '\n',
    // After a token that came more than 30 times in a row.
    mayBreakOff: true,
    body: ({ prompt, maxTokens }, sampling, model) => ({
      model,
      prompt,
      raw: true,
      stream: true,
      keep_alive: '2h',
      options: { num_predict: maxTokens, ...commonSampling(sampling) },
    }),
    read(event) {
      const answer = parseObject(event)
      const failure = textAt(answer, 'error')
      if (failure !== undefined) return { hasText: false, failure }
      const hasText = textAt(answer, 'response') !== undefined
      if (answer.done !== true) return { hasText }
      const usage = {
        promptTokens: numberAt(answer, 'prompt_eval_count'),
        completionTokens: numberAt(answer, 'eval_count'),
      }
      return { hasText, usage }
    },
  },
  openai: {
    path: '/v1/completions',
    separator: '\n\n',
    // The fields that llama-server, vLLM and simpleIA share beyond OpenAI's own; repeat penalty 1 is everybody's default.
    body: ({ prompt, maxTokens }, { temperature, topK, topP, minP }, model) => ({
      model,
      prompt,
      max_tokens: maxTokens,
      stream: true,
      stream_options: { include_usage: true },
      temperature,
      top_k: topK,
      top_p: topP,
      min_p: minP,
    }),
    read(event) {
      const data = dataOf(event)
      if (data === '[DONE]') return nothing
      const answer = parseObject(data)
      if ('error' in answer) return { hasText: false, failure: data }
      const hasText = textAt(firstAt(answer, 'choices'), 'text') !== undefined
      return isObject(answer.usage) ? { hasText, usage: openaiUsage(answer.usage) } : { hasText }
    },
  },
} as const satisfies Record<string, Dialect>

export type DialectName = keyof typeof dialects
export const dialectNames: readonly DialectName[] = ['simpleia', 'llama', 'ollama', 'openai']

export function findDialect(name: string): DialectName | undefined {
  return dialectNames.find((known) => known === name)
}

const commonSampling = ({ temperature, topK, topP, minP, repeatPenalty }: Sampling) => ({
  temperature,
  top_k: topK,
  top_p: topP,
  min_p: minP,
  repeat_penalty: repeatPenalty,
})

const openaiUsage = (usage: JsonObject): Usage => ({
  promptTokens: numberAt(usage, 'prompt_tokens'),
  completionTokens: numberAt(usage, 'completion_tokens'),
})

/** The data of a server-sent event; its lines are joined, as only their being empty or not matters here, or JSON on one line. */
function dataOf(event: string): string {
  return event
    .split('\n')
    .filter((line) => line.startsWith('data: '))
    .map((line) => line.slice('data: '.length))
    .join('\n')
}
