import type { ChatMessage, ToolCall } from '../engine/provider.ts'
import { readContent } from './openai-content.ts'
import { wrongField } from './openai-refusal.ts'
import type { MessageItem, ReasoningItem, ResolvedItem } from './openai-responses-items.ts'

/** A turn of the assistant: what it thought, said and called comes as items of their own. */
type Turn = { reasoning: string; signature: string | undefined; content: string | undefined; toolCalls: ToolCall[] }

/**
 * The items of a conversation as messages: those of earlier responses, then those of this request. Throws `invalid`, with the item
 * of the request that is at fault.
 */
export function toMessages(earlier: readonly ResolvedItem[], input: readonly ResolvedItem[]): ChatMessage[] {
  const messages: ChatMessage[] = []
  const calls = new Set<string>()
  let turn: Turn | undefined

  /** The open turn, or a new one where the open one already has what would come after this. */
  function openTurn(isOver: (turn: Turn) => boolean): Turn {
    if (turn !== undefined && isOver(turn)) closeTurn()
    turn ??= { reasoning: '', signature: undefined, content: undefined, toolCalls: [] }
    return turn
  }
  function closeTurn(): void {
    if (turn !== undefined) messages.push(...finishTurn(turn))
    turn = undefined
  }
  function add(item: ResolvedItem, place: string): void {
    switch (item.type) {
      case 'reasoning': {
        const open = openTurn(({ content, toolCalls }) => content !== undefined || toolCalls.length > 0)
        open.reasoning += readReasoning(item)
        open.signature = item.encrypted_content ?? open.signature
        return
      }
      case 'function_call':
        calls.add(item.call_id)
        openTurn(() => false).toolCalls.push({ id: item.call_id, name: item.name, arguments: item.arguments })
        return
      case 'function_call_output':
        closeTurn()
        if (!calls.has(item.call_id)) throw wrongField(`${place}.call_id`, 'that of an earlier "function_call"', 'another id')
        messages.push({ role: 'tool', content: readContent(item.output, `${place}.output`).text, toolCallId: item.call_id })
        return
      case 'message':
        if (item.role === 'assistant') {
          const open = openTurn(({ content, toolCalls }) => content !== undefined || toolCalls.length > 0)
          open.content = toMessage(item, `${place}.content`).content
          return
        }
        closeTurn()
        messages.push(toMessage(item, `${place}.content`))
    }
  }

  for (const item of earlier) add(item, 'previous_response_id')
  for (const [index, item] of input.entries()) add(item, `input.${index}`)
  closeTurn()
  return messages
}

function toMessage({ role, content: given }: MessageItem, place: string): ChatMessage {
  const { text: content, images } = readContent(given, place)
  if (role !== 'user' && images.length > 0) throw wrongField(place, 'text only: images are for role "user"', 'one with an image')
  if (role === 'assistant') return { role, content }
  if (role !== 'user') return { role: 'system', content }
  return { role, content, ...(images.length === 0 ? {} : { images }) }
}

/** Nothing where it only thought: an empty message would be one that it wrote. */
function finishTurn({ reasoning, signature, content, toolCalls }: Turn): ChatMessage[] {
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
