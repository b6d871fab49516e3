import type { TokenLogprob } from '../engine/provider.ts'
import type { CompletionChoice } from '../predict/collect.ts'
import type { Completion, PredictRequest } from '../predict/predict.ts'
import type { ChatAnswer } from './openai-chat-schema.ts'
import type { ChoiceEvent, WriteChoices } from './openai-chunks.ts'
import { toTokenLogprobs } from './openai-logprobs.ts'
import { toFinishReason, toUsageBody } from './openai-usage.ts'

export type AnswerHead = Readonly<{ id: string; created: number; model: string }>

/** A whole answer, as chat has it. */
export function toChatAnswer({ choices, usage }: Completion, head: AnswerHead, asked: PredictRequest): ChatAnswer {
  return {
    ...head,
    object: 'chat.completion',
    choices: choices.map((choice) => ({
      index: choice.index,
      message: toMessageBody(choice),
      logprobs: asked.logprobs === undefined ? null : toLogprobsBody(choice.tokens),
      finish_reason: toFinishReason(choice.reason),
    })),
    usage: toUsageBody(usage),
  }
}

function toMessageBody({ text, reasoning, toolCalls }: CompletionChoice): ChatAnswer['choices'][number]['message'] {
  return {
    role: 'assistant',
    content: text === '' && toolCalls.length > 0 ? null : text,
    refusal: null,
    ...(reasoning === '' ? {} : { reasoning_content: reasoning }),
    ...(toolCalls.length === 0
      ? {}
      : {
          tool_calls: toolCalls.map(({ id, name, arguments: written }) => ({
            id,
            type: 'function' as const,
            function: { name, arguments: written },
          })),
        }),
  }
}

const toLogprobsBody = (tokens: readonly TokenLogprob[]) => ({ content: toTokenLogprobs(tokens), refusal: null })

/** Writes the pieces of a chat. What they add up to is the message of the whole answer. */
export function createChatWriter(): WriteChoices {
  /** The choices that have begun, and whether their content is known to be a text or to be none. */
  const begun = new Map<number, Readonly<{ hasContent: boolean; hasCalls: boolean }>>()

  return (event) => {
    const { index } = event
    if (isEmpty(event)) return []
    const before = begun.get(index) ?? { hasContent: false, hasCalls: false }
    const says = event.type === 'text-delta' || event.type === 'choice-end'
    const start = { role: 'assistant', content: says ? '' : null, refusal: null }
    const first = begun.has(index) ? [] : [toChoice(index, start)]
    const hasContent = before.hasContent || event.type === 'text-delta' || (first.length > 0 && says)
    const hasCalls = before.hasCalls || event.type === 'tool-call-start'
    begun.set(index, { hasContent, hasCalls })
    return [...first, writePiece(event, hasContent || hasCalls)]
  }
}

const isEmpty = (event: ChoiceEvent) =>
  (event.type === 'text-delta' && event.text === '' && (event.tokens ?? []).length === 0) ||
  (event.type === 'reasoning-delta' && event.text === '')

function writePiece(event: ChoiceEvent, isKnown: boolean): object {
  const { index } = event
  switch (event.type) {
    case 'text-delta':
      return toChoice(index, { content: event.text }, event.tokens)
    case 'reasoning-delta':
      return toChoice(index, { reasoning_content: event.text })
    case 'tool-call-start': {
      const { call, id, name } = event
      return toChoice(index, { tool_calls: [{ index: call, id, type: 'function', function: { name, arguments: '' } }] })
    }
    case 'tool-call-delta':
      return toChoice(index, { tool_calls: [{ index: event.call, function: { arguments: event.text } }] })
    case 'choice-end':
      // A model that only thought has answered with an empty text.
      return { ...toChoice(index, isKnown ? {} : { content: '' }), finish_reason: toFinishReason(event.reason) }
  }
}

const toChoice = (index: number, delta: object, tokens?: readonly TokenLogprob[]) => ({
  index,
  delta,
  logprobs: tokens === undefined ? null : toLogprobsBody(tokens),
  finish_reason: null,
})
