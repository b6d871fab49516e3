import type { ChatMessage, ToolCall } from '../engine/provider.ts'
import { joinThoughts, type Thought } from '../engine/thoughts.ts'
import { readContent } from './openai-content.ts'
import type { MessageItem, ReasoningItem, ResolvedItem } from './openai-responses-items.ts'
import { wrongField } from './refuse-fields.ts'

/** A turn of the assistant: what it thought, said and called comes as items of their own. */
type Turn = { thoughts: Thought[]; content: string | undefined; toolCalls: ToolCall[] }

/** A conversation that is being read. */
type Reading = { readonly messages: ChatMessage[]; readonly calls: Set<string>; turn: Turn | undefined }

/**
 * The items of a conversation as messages: those of earlier responses, then those of this request. Throws `invalid`, with the item
 * of the request that is at fault.
 */
export function toMessages(earlier: readonly ResolvedItem[], input: readonly ResolvedItem[]): ChatMessage[] {
  const reading: Reading = { messages: [], calls: new Set(), turn: undefined }
  for (const item of earlier) addItem(reading, item, 'previous_response_id')
  for (const [index, item] of input.entries()) addItem(reading, item, `input.${index}`)
  closeTurn(reading)
  return reading.messages
}

function addItem(reading: Reading, item: ResolvedItem, place: string): void {
  switch (item.type) {
    case 'reasoning': {
      const turn = openTurn(reading, hasSpoken(reading.turn))
      const signature = item.encrypted_content ?? ''
      turn.thoughts.push({ text: readReasoning(item), signature, textBefore: 0, callsBefore: 0 })
      return
    }
    case 'function_call':
      reading.calls.add(item.call_id)
      openTurn(reading, false).toolCalls.push({ id: item.call_id, name: item.name, arguments: item.arguments })
      return
    case 'function_call_output': {
      closeTurn(reading)
      const { call_id: toolCallId, output } = item
      if (!reading.calls.has(toolCallId)) throw wrongField(`${place}.call_id`, 'that of an earlier "function_call"', 'another id')
      reading.messages.push({ role: 'tool', content: readContent(output, `${place}.output`).text, toolCallId })
      return
    }
    case 'message': {
      const message = toMessage(item, `${place}.content`)
      if (message.role === 'assistant') {
        openTurn(reading, hasSpoken(reading.turn)).content = message.content
        return
      }
      closeTurn(reading)
      reading.messages.push(message)
    }
  }
}

/** Whether what is thought or said next belongs to another turn. */
const hasSpoken = (turn: Turn | undefined) => turn !== undefined && (turn.content !== undefined || turn.toolCalls.length > 0)

function openTurn(reading: Reading, isAnother: boolean): Turn {
  if (isAnother) closeTurn(reading)
  reading.turn ??= { thoughts: [], content: undefined, toolCalls: [] }
  return reading.turn
}

function closeTurn(reading: Reading): void {
  if (reading.turn !== undefined) reading.messages.push(...finishTurn(reading.turn))
  reading.turn = undefined
}

function toMessage({ role, content: given }: MessageItem, place: string): ChatMessage {
  const { text: content, images } = readContent(given, place)
  if (role !== 'user' && images.length > 0) throw wrongField(place, 'text only: images are for role "user"', 'one with an image')
  if (role === 'assistant') return { role, content }
  if (role !== 'user') return { role: 'system', content }
  return { role, content, ...(images.length === 0 ? {} : { images }) }
}

/** Nothing where it only thought: an empty message would be one that it wrote. */
function finishTurn({ thoughts, content, toolCalls }: Turn): ChatMessage[] {
  const { reasoning, signature } = joinThoughts(thoughts)
  if (content === undefined && toolCalls.length === 0) return []
  return [
    {
      role: 'assistant',
      content: content ?? '',
      ...(toolCalls.length === 0 ? {} : { toolCalls }),
      ...(reasoning === '' ? {} : { reasoning }),
      ...(signature === undefined ? {} : { reasoningSignature: signature }),
    },
  ]
}

function readReasoning({ content = [], summary = [] }: ReasoningItem): string {
  return (content.length > 0 ? content : summary).map(({ text }) => text).join('\n')
}
