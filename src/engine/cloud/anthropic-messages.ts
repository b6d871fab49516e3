import type {
  ContentBlockParam,
  ImageBlockParam,
  MessageParam,
  TextBlockParam,
  ToolUseBlockParam,
} from '@anthropic-ai/sdk/resources/messages'
import { AppError } from '../../errors.ts'
import { isJsonObject } from '../json-object.ts'
import type { ChatMessage, Prompt, ToolCall } from '../provider.ts'
import { type AnswerPiece, hiddenCipher, inOrder, splitThoughts } from '../thoughts.ts'

export type AnthropicConversation = Readonly<{ system: TextBlockParam[]; messages: MessageParam[] }>

/**
 * A conversation in Claude's words. What systems say stands before it, wherever it stood. The results of calls, and what the user says
 * next, are one message. A text alone is what a user says.
 */
export function toConversation(prompt: Prompt): AnthropicConversation {
  if (prompt.type === 'text') return { system: [], messages: [{ role: 'user', content: prompt.text }] }
  const system: TextBlockParam[] = []
  const turns: { role: 'user' | 'assistant'; content: ContentBlockParam[] }[] = []
  for (const message of prompt.messages) {
    if (message.role === 'system') {
      if (message.content !== '') system.push({ type: 'text', text: message.content })
      continue
    }
    const role = message.role === 'assistant' ? 'assistant' : 'user'
    const last = turns.at(-1)
    const content = toBlocks(message)
    if (last?.role === role) last.content.push(...content)
    else turns.push({ role, content })
  }
  return { system, messages: turns }
}

function toBlocks(message: Exclude<ChatMessage, { role: 'system' }>): ContentBlockParam[] {
  switch (message.role) {
    case 'user':
      return [...(message.images ?? []).map(toImage), ...toText(message.content)]
    case 'tool':
      return [{ type: 'tool_result', tool_use_id: message.toolCallId, content: message.content }]
    case 'assistant': {
      // Only Claude's own thoughts carry its signature, and it takes no others.
      const { reasoning = '', reasoningSignature: signature, toolCalls = [] } = message
      const thoughts = signature === undefined ? [] : splitThoughts(reasoning, signature)
      return inOrder(thoughts, message.content, toolCalls).flatMap(toPiece)
    }
  }
}

function toPiece(piece: AnswerPiece): ContentBlockParam[] {
  switch (piece.type) {
    case 'text':
      return toText(piece.text)
    case 'call':
      return [toToolUse(piece.call)]
    case 'thought': {
      const { text, signature } = piece.thought
      const cipher = hiddenCipher(signature)
      if (cipher !== undefined) return [{ type: 'redacted_thinking', data: cipher }]
      return signature === '' ? [] : [{ type: 'thinking', thinking: text, signature }]
    }
  }
}

/** The API refuses empty texts. */
function toText(text: string): TextBlockParam[] {
  return text === '' ? [] : [{ type: 'text', text }]
}

function toToolUse({ id, name, arguments: text }: ToolCall): ToolUseBlockParam {
  return { type: 'tool_use', id, name, input: readArguments(id, text) }
}

function readArguments(id: string, text: string): Record<string, unknown> {
  if (text.trim() === '') return {}
  try {
    const value: unknown = JSON.parse(text)
    if (isJsonObject(value)) return value
  } catch {
    // Told below, with what is no object.
  }
  throw new AppError('invalid', `The arguments of the call "${id.slice(0, 100)}" must be a JSON object, as text, but are none.`)
}

const imageTypes = ['image/jpeg', 'image/png', 'image/gif', 'image/webp'] as const

function toImage(address: string): ImageBlockParam {
  if (address.startsWith('https:')) return { type: 'image', source: { type: 'url', url: address } }
  const [, type = '', data] = /^data:([\w/+.-]+);base64,([A-Za-z0-9+/=\s]+)$/.exec(address) ?? []
  const mediaType = imageTypes.find((known) => known === type)
  if (data !== undefined && mediaType !== undefined) {
    return { type: 'image', source: { type: 'base64', media_type: mediaType, data } }
  }
  const expected = `an https: address, or a data: address in base64 of ${imageTypes.join(', ')}`
  throw new AppError('invalid', `An image must be ${expected}, but is "${address.slice(0, 40)}".`)
}
