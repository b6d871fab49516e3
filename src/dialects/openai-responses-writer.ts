import type { FinishReason, GenerateEvent, Usage } from '../engine/provider.ts'
import { inOrder, splitThoughts } from '../engine/thoughts.ts'
import type { AppError, ErrorCode } from '../errors.ts'
import type { CompletionChoice } from '../predict/collect.ts'
import type { Completion } from '../predict/predict.ts'
import { toItem } from './openai-responses-drafts.ts'
import { closeItem, emit, openMessage, type ResponseEvent, type Writing, writePiece } from './openai-responses-item-writer.ts'
import type { ResponseBody } from './openai-responses-schema.ts'

/** Turns the events of a generation into those of a response's stream, and into the response itself. */
export interface ResponseWriter {
  /** What comes before anything is written. */
  begin(): ResponseEvent[]
  /** After `generation-end` the response is whole. */
  write(event: GenerateEvent): ResponseEvent[]
  /** The last event of a response that failed. */
  fail(error: AppError): ResponseEvent[]
  response(): ResponseBody
}

export type WriterOptions = Pick<Writing, 'summarizes' | 'itemId'> &
  Readonly<{
    /** The response as it is before anything is written. */
    head: ResponseBody
    nowSeconds: () => number
  }>

export function createResponseWriter({ head, nowSeconds, ...options }: WriterOptions): ResponseWriter {
  const writing: Writing = { ...options, finished: [], draft: undefined, sequence: 0 }
  let response = head
  let reason: FinishReason = 'stop'

  return {
    begin: () => ['response.created', 'response.in_progress'].map((type) => emit(writing, { type, response })),
    write(event) {
      switch (event.type) {
        case 'choice-end': {
          reason = event.reason
          const isEmpty = writing.draft === undefined && writing.finished.length === 0
          const opened = isEmpty ? openMessage(writing) : []
          return [...opened, ...closeItem(writing, isCut(reason) ? 'incomplete' : 'completed')]
        }
        case 'generation-end':
          response = { ...response, ...toEnd(reason, nowSeconds()), output: writing.finished, usage: toUsage(event.usage) }
          return [emit(writing, { type: `response.${response.status}`, response })]
        default:
          return writePiece(writing, event)
      }
    },
    fail({ code, message }) {
      const output = [...writing.finished, ...(writing.draft === undefined ? [] : [toItem(writing.draft, 'incomplete')])]
      response = { ...response, output, status: 'failed', error: { code: failureCodes[code] ?? 'server_error', message } }
      return [emit(writing, { type: 'response.failed', response })]
    },
    response: () => response,
  }
}

/** The response of a whole answer: the same as its stream would end with. */
export function writeWhole({ choices, usage, timings }: Completion, options: WriterOptions): ResponseBody {
  const writer = createResponseWriter(options)
  for (const choice of choices) for (const event of toEvents(choice)) writer.write(event)
  writer.write({ type: 'generation-end', usage, timings })
  return writer.response()
}

function* toEvents(choice: CompletionChoice): Generator<GenerateEvent> {
  const { index, reasoning, reasoningSignature, text, toolCalls, reason } = choice
  let { tokens } = choice
  let call = 0
  for (const piece of inOrder(splitThoughts(reasoning, reasoningSignature), text, toolCalls)) {
    if (piece.type === 'thought') {
      const { text: thought, signature } = piece.thought
      yield { type: 'reasoning-delta', index, text: thought, ...(signature === '' ? {} : { signature }) }
    } else if (piece.type === 'text') {
      // Who tells log-probabilities does not think in between.
      yield { type: 'text-delta', index, text: piece.text, tokens }
      tokens = []
    } else {
      // What was chosen and shows nothing stands where a text would.
      if (text === '' && tokens.length > 0) yield { type: 'text-delta', index, text, tokens }
      if (text === '') tokens = []
      const { id, name, arguments: written } = piece.call
      yield { type: 'tool-call-start', index, call, id, name }
      yield { type: 'tool-call-delta', index, call, text: written }
      call += 1
    }
  }
  if (tokens.length > 0) yield { type: 'text-delta', index, text: '', tokens }
  yield { type: 'choice-end', index, reason }
}

const cutReasons = { length: 'max_output_tokens', 'content-filter': 'content_filter' } as const
const isCut = (reason: FinishReason): reason is keyof typeof cutReasons => reason in cutReasons

function toEnd(reason: FinishReason, endSeconds: number): Pick<ResponseBody, 'status' | 'completed_at' | 'incomplete_details'> {
  return isCut(reason)
    ? { status: 'incomplete', completed_at: null, incomplete_details: { reason: cutReasons[reason] } }
    : { status: 'completed', completed_at: endSeconds, incomplete_details: null }
}

const failureCodes: Readonly<Partial<Record<ErrorCode, string>>> = {
  invalid: 'invalid_prompt',
  context_length_exceeded: 'invalid_prompt',
  rate_limited: 'rate_limit_exceeded',
  quota_exceeded: 'rate_limit_exceeded',
}

function toUsage(usage: Usage): ResponseBody['usage'] {
  return {
    input_tokens: usage.promptTokens,
    input_tokens_details: { cached_tokens: usage.cachedPromptTokens },
    output_tokens: usage.completionTokens,
    output_tokens_details: { reasoning_tokens: usage.reasoningTokens ?? 0 },
    total_tokens: usage.promptTokens + usage.completionTokens,
  }
}
