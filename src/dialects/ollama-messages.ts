import type { ChatMessage, Tool, ToolCall } from '../engine/provider.ts'
import type { MessageBody, ToolBody } from './ollama-schema.ts'
import { wrongField } from './refuse-fields.ts'

/** A call that no tool message has answered yet. */
type OpenCall = Readonly<{ id: string; name: string }>

/**
 * Messages of the wire as ours. Ollama's tool messages need not say which call they answer: by its id where one is told, else the first
 * open one of that name, else the first open one. Throws `invalid`.
 */
export function toMessages(bodies: readonly MessageBody[]): readonly ChatMessage[] {
  let open: readonly OpenCall[] = []
  return bodies.map((body, index) => {
    const field = `messages.${index}`
    const role = body.role.toLowerCase()
    refuseForeignFields(body, role, field)
    switch (role) {
      case 'user':
        return toUserMessage(body.content ?? '', body.images ?? [], `${field}.images`)
      case 'assistant': {
        const message = toAssistantMessage(body, index)
        open = message.toolCalls ?? []
        return message
      }
      case 'tool': {
        const call = findCall(open, body, field)
        open = open.filter((other) => other !== call)
        return { role, content: body.content ?? '', toolCallId: call.id }
      }
      default:
        return { role: 'system', content: body.content ?? '' }
    }
  })
}

/** What only one role has. */
const roleOf: Readonly<Record<string, string>> = {
  thinking: 'assistant',
  tool_calls: 'assistant',
  images: 'user',
  tool_name: 'tool',
  tool_call_id: 'tool',
}

function refuseForeignFields(body: MessageBody, role: string, field: string): void {
  for (const [name, value] of Object.entries(body)) {
    const owner = roleOf[name]
    if (owner === undefined || owner === role || value.length === 0) continue
    throw wrongField(`${field}.${name}`, `left out or empty in a message of the ${role}`, 'given')
  }
}

export function toUserMessage(content: string, images: readonly string[], field: string): ChatMessage {
  if (images.length === 0) return { role: 'user', content }
  return { role: 'user', content, images: images.map((image, index) => toDataUrl(image, `${field}.${index}`)) }
}

function toAssistantMessage({ content = '', thinking = '', tool_calls: calls = [] }: MessageBody, index: number) {
  return {
    role: 'assistant' as const,
    content,
    ...(thinking === '' ? {} : { reasoning: thinking }),
    ...(calls.length === 0 ? {} : { toolCalls: calls.map((call, place) => toToolCall(call, `call_${index}_${place}`)) }),
  }
}

function toToolCall({ id, function: called }: NonNullable<MessageBody['tool_calls']>[number], madeId: string): ToolCall {
  return { id: id === undefined || id === '' ? madeId : id, name: called.name, arguments: JSON.stringify(called.arguments ?? {}) }
}

function findCall(open: readonly OpenCall[], body: MessageBody, field: string): OpenCall {
  const name = body.tool_name ?? body.name ?? ''
  const byId = open.find(({ id }) => id === body.tool_call_id)
  const found = byId ?? (name === '' ? open[0] : open.find((call) => call.name === name))
  if (found !== undefined) return found
  const names = [...new Set(open.map((call) => JSON.stringify(call.name)))]
  const expected = names.length === 0 ? 'after a message of the assistant with a call' : `the result of ${names.join(' or ')}`
  throw wrongField(name === '' ? field : `${field}.tool_name`, expected, 'another')
}

/** By the first bytes, which base64 of any length begins alike with. */
const imageTypes = [
  ['iVBORw0KGgo', 'image/png'],
  ['/9j/', 'image/jpeg'],
  ['R0lGOD', 'image/gif'],
  ['UklGR', 'image/webp'],
] as const

function toDataUrl(image: string, field: string): string {
  const type = imageTypes.find(([beginning]) => image.startsWith(beginning))?.[1]
  if (type !== undefined && /^[A-Za-z0-9+/]+={0,2}$/.test(image)) return `data:${type};base64,${image}`
  throw wrongField(field, 'a PNG, JPEG, GIF or WebP image as base64', `a text of ${image.length} characters`)
}

export function toTools(bodies: readonly ToolBody[]): readonly Tool[] {
  return bodies.map(({ function: { name, description, parameters } }, place) => ({
    name,
    ...(description === undefined ? {} : { description }),
    parameters: parameters ?? { type: 'object', properties: {} },
    field: `tools.${place}.function.parameters`,
  }))
}
