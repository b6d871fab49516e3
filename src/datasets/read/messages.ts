import type { ChatMessage } from '../../engine/provider.ts'
import { isObject, type JsonObject, openFields, readText } from './fields.ts'
import { Refused } from './refused.ts'

export type ReadMessages = Readonly<{
  messages: readonly ChatMessage[]
  /** Places of the answers that are not to be learned. */
  unlearned: readonly number[]
  /** As `messages.NAME`. */
  ignored: readonly string[]
}>

type Role = 'system' | 'user' | 'assistant'

/** What the roles are called in the datasets that are about. */
const roles: ReadonlyMap<string, Role | 'tool'> = new Map(
  Object.entries({
    system: 'system',
    developer: 'system',
    user: 'user',
    human: 'user',
    prompter: 'user',
    assistant: 'assistant',
    gpt: 'assistant',
    chatgpt: 'assistant',
    bot: 'assistant',
    bing: 'assistant',
    bard: 'assistant',
    model: 'assistant',
    tool: 'tool',
    function: 'tool',
    function_call: 'tool',
    function_response: 'tool',
    tool_call: 'tool',
    tool_response: 'tool',
    observation: 'tool',
    ipython: 'tool',
  } as const),
)

/** A list of messages (`role` and `content`, or ShareGPT's `from` and `value`), or one of them. Throws `Refused`. */
export function readMessages(value: unknown, field: string): ReadMessages {
  const list: readonly unknown[] = Array.isArray(value) ? value : [value]
  const messages: ChatMessage[] = []
  const unlearned: number[] = []
  const ignored = new Set<string>()
  for (const [place, item] of list.entries()) {
    if (!isObject(item)) throw new Refused('wrong-shape', `"${field}" must be a list of messages.`)
    const { message, isLearned, left } = readMessage(item, `${field}.${place}`)
    if (!isLearned) unlearned.push(place)
    for (const name of left) ignored.add(`messages.${name}`)
    messages.push(message)
  }
  return { messages, unlearned, ignored: [...ignored] }
}

function readMessage(item: JsonObject, field: string) {
  const fields = openFields(item)
  for (const name of ['tool_calls', 'function_call', 'tool_call_id'])
    if (isFilled(fields.take(name))) throw usesTools(`"${field}.${name}"`)
  if (isFilled(fields.take('images')) || isFilled(fields.take('audio')))
    throw new Refused('images', `"${field}" has pictures or sound.`)
  const role = roleOf(fields.take('role') ?? fields.take('from'), field)
  const content = readContent(fields.take('content') ?? fields.take('value'), field)
  const isLearned = role !== 'assistant' || readLearned(fields.take('weight') ?? fields.take('train'), field)
  return { message: { role, content }, isLearned, left: fields.left() }
}

function roleOf(given: unknown, field: string): Role {
  const role = typeof given === 'string' ? roles.get(given.toLowerCase()) : undefined
  if (role === 'tool') throw usesTools(`"${field}"`)
  if (role === undefined) throw new Refused('wrong-shape', `"${field}" needs the role system, user or assistant.`)
  return role
}

/** A text, or parts of one, as OpenAI has them. */
function readContent(content: unknown, field: string): string {
  if (!Array.isArray(content)) return readText(content, `${field}.content`)
  return content.map((part: unknown) => readPart(part, field)).join('')
}

function readPart(part: unknown, field: string): string {
  if (typeof part === 'string') return readText(part, `${field}.content`)
  if (isObject(part) && (part.type === 'text' || part.type === undefined)) return readText(part.text, `${field}.content`)
  if (isObject(part) && part.type === 'refusal') return readText(part.refusal, `${field}.content`)
  throw new Refused('images', `"${field}.content" has parts that are no text.`)
}

/** OpenAI's `weight` of an answer is 0 or 1; others write `train`. */
function readLearned(given: unknown, field: string): boolean {
  if (given === undefined || given === 1 || given === true) return true
  if (given === 0 || given === false) return false
  throw new Refused('wrong-shape', `"${field}.weight" must be 0 or 1.`)
}

export function isFilled(value: unknown): boolean {
  if (value === undefined || value === null || value === '' || value === '[]') return false
  return !Array.isArray(value) || value.length > 0
}

export function usesTools(what: string): Refused {
  return new Refused('tools', `${what} calls a tool or tells what one gave; tools are not learned.`)
}
