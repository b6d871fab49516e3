import type { MessageAnswer, MessageEvent } from '../../../src/conversations/schema.ts'
import { unreachable } from '../../../src/errors.ts'

type ToolCall = NonNullable<MessageAnswer['tool_calls']>[number]

/** What a message has become after an event of its answer. */
export function applyEvent(message: MessageAnswer, event: MessageEvent): MessageAnswer {
  switch (event.type) {
    case 'snapshot':
    case 'end':
      return event.message
    case 'text':
      return { ...message, content: message.content + event.text }
    case 'reasoning':
      return { ...message, reasoning: (message.reasoning ?? '') + event.text }
    case 'tool-call':
      return withCall(message, event.index, { id: event.id, name: event.name, arguments: '' })
    case 'tool-arguments': {
      const call = message.tool_calls?.[event.index]
      return call === undefined ? message : withCall(message, event.index, { ...call, arguments: call.arguments + event.text })
    }
    case 'sources':
      return { ...message, sources: [...event.sources] }
    case 'waiting':
      return message
    default:
      return unreachable(event)
  }
}

function withCall(message: MessageAnswer, index: number, call: ToolCall): MessageAnswer {
  const calls = message.tool_calls ?? []
  return { ...message, tool_calls: [...calls.slice(0, index), call, ...calls.slice(index + 1)] }
}
