import type { FinishReason, Usage } from '../engine/provider.ts'
import { type AnswerPiece, inOrder, splitThoughts } from '../engine/thoughts.ts'
import { AppError } from '../errors.ts'
import type { CompletionChoice } from '../predict/collect.ts'
import type { Completion } from '../predict/predict.ts'
import type { ContentBlock, MessageAnswer, StopReason, UsageBody } from './anthropic-schema.ts'
import { toThinkingBlock } from './anthropic-thoughts.ts'

export const messageId = (id: string) => `msg_${id}`

/** `showsThinking`: whether thinking blocks hold what was thought. Throws `upstream` for a call whose arguments are no JSON. */
export function toMessageAnswer({ id, model, choices, usage }: Completion, showsThinking: boolean): MessageAnswer {
  const [choice] = choices
  if (choice === undefined) throw new AppError('internal', 'The engine gave no answer.')
  return {
    ...messageHead(id, model),
    content: toContent(choice, showsThinking),
    ...toStop(choice.reason, choice.stopText),
    usage: toUsageBody(usage),
  }
}

/** What a message and the start of a streamed one share. */
export const messageHead = (id: string, model: string) =>
  ({ id: messageId(id), type: 'message', role: 'assistant', model, container: null, diagnostics: null }) as const

/** Blocks as they begin; in a stream their content follows in pieces. */
export const textBlock = (text: string) => ({ type: 'text', text, citations: null }) as const
export const toolUseBlock = (id: string, name: string, input: unknown) =>
  ({ type: 'tool_use', id, name, input, caller: { type: 'direct' } }) as const

function toContent(choice: CompletionChoice, showsThinking: boolean): ContentBlock[] {
  const thoughts = splitThoughts(choice.reasoning, choice.reasoningSignature)
  const { text, toolCalls, reason } = choice
  return inOrder(thoughts, text, toolCalls).map((piece) => toBlock(piece, { showsThinking, reason }))
}

function toBlock(
  piece: AnswerPiece,
  { showsThinking, reason }: Readonly<{ showsThinking: boolean; reason: FinishReason }>,
): ContentBlock {
  switch (piece.type) {
    case 'thought':
      return toThinkingBlock(piece.thought, showsThinking)
    case 'text':
      return textBlock(piece.text)
    case 'call':
      return toolUseBlock(piece.call.id, piece.call.name, toInput(piece.call.arguments, reason))
  }
}

function toInput(text: string, reason: FinishReason): unknown {
  if (text.trim() === '') return {}
  try {
    return JSON.parse(text)
  } catch (error) {
    // Cut off by max_tokens, which the caller is told: no call to be made.
    if (reason === 'length') return {}
    throw new AppError('upstream', 'The model called a tool with arguments that are no JSON. Ask again.', { cause: error })
  }
}

type Stop = Pick<MessageAnswer, 'stop_reason' | 'stop_sequence' | 'stop_details'>

export function toStop(reason: FinishReason, stopText: string | undefined): Stop {
  return {
    stop_reason: toStopReason(reason, stopText),
    stop_sequence: stopText ?? null,
    stop_details: reason === 'content-filter' ? { type: 'refusal', category: null, explanation: null } : null,
  }
}

function toStopReason(reason: FinishReason, stopText: string | undefined): StopReason {
  switch (reason) {
    case 'stop':
      return stopText === undefined ? 'end_turn' : 'stop_sequence'
    case 'length':
      return 'max_tokens'
    case 'tool-calls':
      return 'tool_use'
    case 'content-filter':
      return 'refusal'
  }
}

/** Anthropic counts the tokens that were in memory apart from the others. */
export function toUsageBody({ promptTokens, cachedPromptTokens, completionTokens, reasoningTokens }: Usage): UsageBody {
  return {
    input_tokens: promptTokens - cachedPromptTokens,
    cache_read_input_tokens: cachedPromptTokens,
    cache_creation_input_tokens: 0,
    cache_creation: null,
    output_tokens: completionTokens,
    output_tokens_details: reasoningTokens === undefined ? null : { thinking_tokens: reasoningTokens },
    server_tool_use: null,
    service_tier: 'standard',
    inference_geo: null,
    speed: null,
  }
}
