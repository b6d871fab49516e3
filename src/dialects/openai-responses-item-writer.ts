import type { GenerateEvent } from '../engine/provider.ts'
import { AppError } from '../errors.ts'
import { type TokenLogprobBody, toTokenLogprobs } from './openai-logprobs.ts'
import {
  closingEvents,
  type Draft,
  type DraftEvent,
  deltaEvent,
  type ItemStatus,
  openingEvents,
  toItem,
} from './openai-responses-drafts.ts'
import type { OutputItem } from './openai-responses-items.ts'

/** An event of a response's stream, as it is sent. */
export type ResponseEvent = DraftEvent & Readonly<{ sequence_number: number }>

/** The items of a response that is being written: those that are finished, then the one that grows. */
export type Writing = {
  readonly finished: OutputItem[]
  draft: Draft | undefined
  /** Number of the next event. */
  sequence: number
  /** Whether what is thought comes as a summary. */
  readonly summarizes: boolean
  /** An id for the item at this place. */
  readonly itemId: (type: OutputItem['type'], place: number) => string
}

type PieceEvent = Exclude<GenerateEvent, { type: 'generation-end' | 'choice-end' }>

export function emit(writing: Writing, event: DraftEvent): ResponseEvent {
  const sequence = writing.sequence
  writing.sequence += 1
  return { ...event, sequence_number: sequence }
}

/** An event of the item that grows. */
function emitOf(writing: Writing, { id }: Draft, event: DraftEvent): ResponseEvent {
  return emit(writing, { ...event, item_id: id, output_index: writing.finished.length })
}

/** Adds a piece of the answer; an item that it doesn't belong to is finished first. Throws `internal` for pieces out of order. */
export function writePiece(writing: Writing, event: PieceEvent): ResponseEvent[] {
  switch (event.type) {
    case 'text-delta': {
      const { text, tokens = [] } = event
      if (text === '' && tokens.length === 0) return []
      const opened = writing.draft?.type === 'message' ? [] : openMessage(writing)
      return [...opened, ...grow(writing, text, toTokenLogprobs(tokens))]
    }
    case 'reasoning-delta': {
      if (event.text === '' && event.signature === undefined) return []
      // What was signed is over: what is thought next has a signature of its own.
      const goesOn = writing.draft?.type === 'reasoning' && writing.draft.signature === undefined
      const opened = goesOn ? [] : openReasoning(writing)
      if (writing.draft?.type === 'reasoning') writing.draft.signature = event.signature
      return [...opened, ...grow(writing, event.text)]
    }
    case 'tool-call-start': {
      const { id: callId, call, name } = event
      return open(writing, 'function_call', (id) => ({ type: 'function_call', id, call, callId, name, text: '' }))
    }
    case 'tool-call-delta':
      if (writing.draft?.type !== 'function_call' || writing.draft.call !== event.call)
        throw new AppError('internal', 'The arguments of a call came when it was over.')
      return grow(writing, event.text)
  }
}

export function openMessage(writing: Writing): ResponseEvent[] {
  return open(writing, 'message', (id) => ({ type: 'message', id, text: '', logprobs: [] }))
}

function openReasoning(writing: Writing): ResponseEvent[] {
  const { summarizes: isSummary } = writing
  return open(writing, 'reasoning', (id) => ({ type: 'reasoning', id, text: '', signature: undefined, isSummary }))
}

function open(writing: Writing, type: OutputItem['type'], create: (id: string) => Draft): ResponseEvent[] {
  const before = closeItem(writing, 'completed')
  const place = writing.finished.length
  const draft = create(writing.itemId(type, place))
  writing.draft = draft
  const added = { type: 'response.output_item.added', output_index: place, item: toItem(draft, 'in_progress') }
  return [...before, emit(writing, added), ...openingEvents(draft).map((event) => emitOf(writing, draft, event))]
}

function grow(writing: Writing, text: string, logprobs: readonly TokenLogprobBody[] = []): ResponseEvent[] {
  const { draft } = writing
  if (draft === undefined || (text === '' && logprobs.length === 0)) return []
  draft.text += text
  if (draft.type === 'message') draft.logprobs.push(...logprobs)
  return [emitOf(writing, draft, deltaEvent(draft, text, logprobs))]
}

/** Finishes the item that grows, if there is one. */
export function closeItem(writing: Writing, status: ItemStatus): ResponseEvent[] {
  const { draft, finished } = writing
  if (draft === undefined) return []
  const item = toItem(draft, status)
  const events = closingEvents(draft).map((event) => emitOf(writing, draft, event))
  const done = emit(writing, { type: 'response.output_item.done', output_index: finished.length, item })
  finished.push(item)
  writing.draft = undefined
  return [...events, done]
}
