import Type, { type Static } from 'typebox'
import type { FinishReason, Usage } from '../engine/provider.ts'

/** Usage in the words of chat and completions. */
export const usageBody = Type.Object({
  prompt_tokens: Type.Integer(),
  completion_tokens: Type.Integer(),
  total_tokens: Type.Integer(),
  prompt_tokens_details: Type.Object({ cached_tokens: Type.Integer() }),
  completion_tokens_details: Type.Optional(Type.Object({ reasoning_tokens: Type.Integer() })),
})
export type UsageBody = Static<typeof usageBody>

export function toUsageBody(usage: Usage): UsageBody {
  return {
    prompt_tokens: usage.promptTokens,
    completion_tokens: usage.completionTokens,
    total_tokens: usage.promptTokens + usage.completionTokens,
    prompt_tokens_details: { cached_tokens: usage.cachedPromptTokens },
    ...(usage.reasoningTokens === undefined ? {} : { completion_tokens_details: { reasoning_tokens: usage.reasoningTokens } }),
  }
}

const finishReasons = { stop: 'stop', length: 'length', 'tool-calls': 'tool_calls', 'content-filter': 'content_filter' } as const
export const finishReasonBody = Type.Enum(['stop', 'length', 'tool_calls', 'content_filter'])

/** Why an answer ended, in this dialect's words. */
export const toFinishReason = (reason: FinishReason) => finishReasons[reason]
