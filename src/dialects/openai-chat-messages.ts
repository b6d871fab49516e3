import type { ChatMessage } from '../engine/provider.ts'
import type { AssistantMessage, ChatRequestMessage } from './openai-chat-schema.ts'
import { readContent } from './openai-content.ts'
import { refuseUnsupported, wrongField } from './refuse-fields.ts'

const harmlessInMessage = { annotations: [[]], audio: [], function_call: [] }

/** The conversation of the wire as ours. Throws `invalid`, with the message at fault. */
export function toMessages(messages: readonly ChatRequestMessage[]): ChatMessage[] {
  const calls = new Set<string>()
  if (messages.length > 1 && messages.slice(-2).every(isText))
    throw wrongField('messages', 'a list that ends with one message of the assistant at most', 'one that ends with two')
  return messages.map((message, index) => {
    const place = `messages.${index}`
    const read = toMessage(message, place)
    if (read.role === 'assistant') for (const { id } of read.toolCalls ?? []) calls.add(id)
    if (read.role === 'tool' && !calls.has(read.toolCallId))
      throw wrongField(`${place}.tool_call_id`, 'the id of a call in an earlier message of the assistant', 'another id')
    return read
  })
}

const isText = (message: ChatRequestMessage) => message.role === 'assistant' && (message.tool_calls ?? []).length === 0

function toMessage(message: ChatRequestMessage, place: string): ChatMessage {
  if (message.role === 'assistant') return toAssistantMessage(message, place)
  const { text: content, images } = readContent(message.content, `${place}.content`)
  switch (message.role) {
    case 'system':
    case 'developer':
      return { role: 'system', content }
    case 'user':
      return { role: 'user', content, ...(images.length === 0 ? {} : { images }) }
    case 'tool':
      return { role: 'tool', content, toolCallId: message.tool_call_id }
  }
}

function toAssistantMessage(message: AssistantMessage, place: string): ChatMessage {
  refuseUnsupported(message, harmlessInMessage, `${place}.`)
  const { content, refusal, reasoning_content: reasoning, tool_calls: calls = [] } = message
  if (content === undefined && refusal === undefined && calls.length === 0)
    throw wrongField(`${place}.content`, 'given (or "tool_calls")', 'missing')
  const { text } = readContent(content ?? '', `${place}.content`)
  return {
    role: 'assistant',
    content: [text, refusal ?? ''].filter((one) => one !== '').join('\n'),
    ...(reasoning === undefined || reasoning === '' ? {} : { reasoning }),
    ...(calls.length === 0 ? {} : { toolCalls: calls.map(({ id, function: called }) => toToolCall(id, called)) }),
  }
}

const toToolCall = (id: string, { name, arguments: written }: Readonly<{ name: string; arguments: string }>) => ({
  id,
  name,
  arguments: written,
})
