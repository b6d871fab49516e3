import type { TokenLogprob } from '../engine/provider.ts'
import type { CompletionChoice } from '../predict/collect.ts'
import type { Completion, PredictRequest } from '../predict/predict.ts'
import type { ChatAnswer } from './openai-chat-schema.ts'
import type { ChoiceEvent, WriteChoices } from './openai-chunks.ts'
import { toTokenLogprobs } from './openai-logprobs.ts'
import { toFinishReason, toUsageBody } from './openai-usage.ts'

export type AnswerHead = Readonly<{ id: string; created: number; model: string }>
export type ChatHead = AnswerHead & Pick<ChatAnswer, 'metadata'>

/** A whole answer, as chat has it. */
export function toChatAnswer({ choices, usage }: Completion, head: ChatHead, asked: PredictRequest): ChatAnswer {
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
  /** The choices that have begun, and whether their content is settled: a text, or none as there are calls. */
  const begun = new Map<number, boolean>()

  return (event) => {
    if (isEmpty(event)) return []
    const { index } = event
    const isText = event.type === 'text-delta' && event.text !== ''
    const start = { role: 'assistant', content: isText ? '' : null, refusal: null }
    const first = begun.has(index) ? [] : [toChoice(index, start)]
    const isSettled = begun.get(index) === true || isText || event.type === 'tool-call-start'
    begun.set(index, isSettled)
    return [...first, writePiece(event, isSettled)]
  }
}

const isEmpty = (event: ChoiceEvent) =>
  (event.type === 'text-delta' && event.text === '' && (event.tokens ?? []).length === 0) ||
  (event.type === 'reasoning-delta' && event.text === '')

function writePiece(event: ChoiceEvent, isSettled: boolean): object {
  const { index } = event
  switch (event.type) {
    case 'text-delta':
      return toChoice(index, event.text === '' ? {} : { content: event.text }, event.tokens)
    case 'reasoning-delta':
      return toChoice(index, { reasoning_content: event.text })
    case 'tool-call-start': {
      const { call, id, name } = event
      return toChoice(index, { tool_calls: [{ index: call, id, type: 'function', function: { name, arguments: '' } }] })
    }
    case 'tool-call-delta':
      return toChoice(index, { tool_calls: [{ index: event.call, function: { arguments: event.text } }] })
    case 'choice-end':
      // A model that only thought, or not even that, has answered with an empty text.
      return { ...toChoice(index, isSettled ? {} : { content: '' }), finish_reason: toFinishReason(event.reason) }
  }
}

const toChoice = (index: number, delta: object, tokens?: readonly TokenLogprob[]) => ({
  index,
  delta,
  logprobs: tokens === undefined ? null : toLogprobsBody(tokens),
  finish_reason: null,
})
