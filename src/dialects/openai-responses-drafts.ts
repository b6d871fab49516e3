import type { TokenLogprobBody } from './openai-logprobs.ts'
import type { OutputItem, OutputText } from './openai-responses-items.ts'

/** An item that is being written. */
export type Draft =
  | { readonly type: 'message'; readonly id: string; text: string; logprobs: TokenLogprobBody[] }
  | { readonly type: 'reasoning'; readonly id: string; text: string; signature: string | undefined; readonly isSummary: boolean }
  | {
      readonly type: 'function_call'
      readonly id: string
      readonly call: number
      readonly callId: string
      readonly name: string
      text: string
    }

export type ItemStatus = OutputItem['status']

/** An event without what all have: its number, and where its item stands. */
export type DraftEvent = Readonly<{ type: string }> & Readonly<Record<string, unknown>>

/** The item as it stands; one that was just opened has no content yet. */
export function toItem(draft: Draft, status: ItemStatus): OutputItem {
  const isOpen = status === 'in_progress'
  switch (draft.type) {
    case 'message':
      return { type: 'message', id: draft.id, role: 'assistant', status, content: isOpen ? [] : [toOutputText(draft)] }
    case 'function_call': {
      const { id, callId, name, text } = draft
      return { type: 'function_call', id, call_id: callId, name, arguments: text, status }
    }
    case 'reasoning': {
      const { id, text, isSummary, signature } = draft
      return {
        type: 'reasoning',
        id,
        status,
        summary: isSummary && !isOpen ? [{ type: 'summary_text', text }] : [],
        content: isSummary || isOpen ? [] : [{ type: 'reasoning_text', text }],
        ...(signature === undefined ? {} : { encrypted_content: signature }),
      }
    }
  }
}

function toOutputText({ text, logprobs }: Pick<Extract<Draft, { type: 'message' }>, 'text' | 'logprobs'>): OutputText {
  return { type: 'output_text', text, annotations: [], logprobs }
}

const summaryPart = (text: string) => ({ summary_index: 0, part: { type: 'summary_text', text } })
const reasoningPart = (text: string) => ({ content_index: 0, part: { type: 'reasoning_text', text } })

/** What is sent after `response.output_item.added`. */
export function openingEvents(draft: Draft): DraftEvent[] {
  switch (draft.type) {
    case 'message':
      return [{ type: 'response.content_part.added', content_index: 0, part: toOutputText({ text: '', logprobs: [] }) }]
    case 'reasoning':
      return draft.isSummary
        ? [{ type: 'response.reasoning_summary_part.added', ...summaryPart('') }]
        : [{ type: 'response.content_part.added', ...reasoningPart('') }]
    case 'function_call':
      return []
  }
}

/** What is sent for a piece that the item grows by. */
export function deltaEvent(draft: Draft, delta: string, logprobs: readonly TokenLogprobBody[] = []): DraftEvent {
  switch (draft.type) {
    case 'message':
      return { type: 'response.output_text.delta', content_index: 0, delta, logprobs }
    case 'reasoning':
      return draft.isSummary
        ? { type: 'response.reasoning_summary_text.delta', summary_index: 0, delta }
        : { type: 'response.reasoning_text.delta', content_index: 0, delta }
    case 'function_call':
      return { type: 'response.function_call_arguments.delta', delta }
  }
}

/** What is sent before `response.output_item.done`. */
export function closingEvents(draft: Draft): DraftEvent[] {
  const { text } = draft
  switch (draft.type) {
    case 'message':
      return [
        { type: 'response.output_text.done', content_index: 0, text, logprobs: draft.logprobs },
        { type: 'response.content_part.done', content_index: 0, part: toOutputText(draft) },
      ]
    case 'reasoning':
      return draft.isSummary
        ? [
            { type: 'response.reasoning_summary_text.done', summary_index: 0, text },
            { type: 'response.reasoning_summary_part.done', ...summaryPart(text) },
          ]
        : [
            { type: 'response.reasoning_text.done', content_index: 0, text },
            { type: 'response.content_part.done', ...reasoningPart(text) },
          ]
    case 'function_call':
      return [{ type: 'response.function_call_arguments.done', name: draft.name, arguments: text }]
  }
}
