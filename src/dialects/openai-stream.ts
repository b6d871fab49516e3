import type { FinishReason, GenerateEvent, Usage } from '../engine/provider.ts'
import { formatEvent } from '../http/event-stream.ts'
import type { UsageBody } from './openai-schema.ts'

const finishReasons = { stop: 'stop', length: 'length', 'tool-calls': 'tool_calls', 'content-filter': 'content_filter' } as const

/** Why an answer ended, in this dialect's words. */
export const toFinishReason = (reason: FinishReason) => finishReasons[reason]

export function toUsageBody(usage: Usage): UsageBody {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedPromptTokens },
  }
}

/** What all chunks of one stream share. */
export type ChunkHead = Readonly<{ id: string; object: string; created: number; model: string }>

/** How one endpoint writes the pieces of a choice. */
export type ChunkFormat = Readonly<{
  /** Before a choice's first piece; undefined: nothing. */
  start: (index: number) => object | undefined
  piece: (index: number, text: string) => object
  end: (index: number, reason: FinishReason) => object
}>

export const chatChunks: ChunkFormat = {
  start: (index) => ({ index, delta: { role: 'assistant', content: '', refusal: null }, logprobs: null, finish_reason: null }),
  piece: (index, content) => ({ index, delta: { content }, logprobs: null, finish_reason: null }),
  end: (index, reason) => ({ index, delta: {}, logprobs: null, finish_reason: toFinishReason(reason) }),
}

export const completionChunks: ChunkFormat = {
  start: () => undefined,
  piece: (index, text) => ({ index, text, logprobs: null, finish_reason: null }),
  end: (index, reason) => ({ index, text: '', logprobs: null, finish_reason: toFinishReason(reason) }),
}

/**
 * The events of a generation as server-sent events of this dialect; several choices interleave. The last one is [DONE],
 * and only where the generation came to its end.
 */
export async function* toChunks(
  events: AsyncIterable<GenerateEvent>,
  head: ChunkHead,
  format: ChunkFormat,
  includeUsage: boolean,
): AsyncGenerator<string> {
  const started = new Set<number>()
  const chunk = (choice: object) =>
    formatEvent(JSON.stringify({ ...head, choices: [choice], ...(includeUsage ? { usage: null } : {}) }))
  function start(index: number): string {
    if (started.has(index)) return ''
    started.add(index)
    const choice = format.start(index)
    return choice === undefined ? '' : chunk(choice)
  }
  for await (const event of events) {
    switch (event.type) {
      case 'text-delta':
        yield start(event.index) + chunk(format.piece(event.index, event.text))
        break
      case 'choice-end':
        yield start(event.index) + chunk(format.end(event.index, event.reason))
        break
      case 'generation-end':
        if (includeUsage) yield formatEvent(JSON.stringify({ ...head, choices: [], usage: toUsageBody(event.usage) }))
        yield formatEvent('[DONE]')
    }
  }
}
