import { type Static, Type } from 'typebox'
import type { Usage } from '../provider.ts'

const count = Type.Optional(Type.Union([Type.Integer({ minimum: 0 }), Type.Null()]))
const text = Type.Optional(Type.Union([Type.String(), Type.Null()]))

const usageInside = Type.Object({
  input_tokens: count,
  output_tokens: count,
  cache_creation_input_tokens: count,
  cache_read_input_tokens: count,
  output_tokens_details: Type.Optional(Type.Union([Type.Object({ thinking_tokens: count }), Type.Null()])),
})

/** All that is read of any event of the Messages API, which may add events and fields. */
export const anthropicEvent = Type.Object({
  type: Type.String(),
  message: Type.Optional(Type.Object({ usage: Type.Optional(usageInside) })),
  usage: Type.Optional(usageInside),
  content_block: Type.Optional(
    Type.Object({
      type: Type.String(),
      id: text,
      name: text,
      text,
      thinking: text,
      signature: text,
      data: text,
      input: Type.Optional(Type.Unknown()),
    }),
  ),
  delta: Type.Optional(
    Type.Object({
      type: text,
      text,
      thinking: text,
      signature: text,
      partial_json: text,
      stop_reason: text,
      stop_sequence: text,
    }),
  ),
})

export type AnthropicEvent = Static<typeof anthropicEvent>
export type AnthropicBlock = NonNullable<AnthropicEvent['content_block']>
export type AnthropicDelta = NonNullable<AnthropicEvent['delta']>
export type AnthropicUsage = Static<typeof usageInside>

/** Counts come twice, the later ones for all so far; a count that is not told again stays. */
export function addUsage(before: AnthropicUsage, told: AnthropicUsage = {}): AnthropicUsage {
  return { ...before, ...Object.fromEntries(Object.entries(told).filter(([, value]) => value !== null && value !== undefined)) }
}

/**
 * The API counts what it read from its cache, and what it wrote there, apart. Undefined where there are no counts: none, half of them, or
 * zeros as some servers write in their place.
 */
export function toUsage(counted: AnthropicUsage): Usage | undefined {
  const { input_tokens: uncached, output_tokens: completionTokens } = counted
  if (typeof uncached !== 'number' || typeof completionTokens !== 'number') return undefined
  const cached = counted.cache_read_input_tokens ?? 0
  const promptTokens = uncached + (counted.cache_creation_input_tokens ?? 0) + cached
  if (promptTokens === 0 && completionTokens === 0) return undefined
  const reasoningTokens = counted.output_tokens_details?.thinking_tokens ?? undefined
  return {
    promptTokens,
    completionTokens,
    cachedPromptTokens: cached,
    ...(reasoningTokens === undefined ? {} : { reasoningTokens }),
  }
}
