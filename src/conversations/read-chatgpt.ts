import Type, { type Static } from 'typebox'
import { Compile } from 'typebox/compile'
import type { KeptMessage } from './message-rows.ts'
import type { ReadConversation } from './read-exported.ts'
import { conversationBounds } from './schema.ts'

/** What is read of the export of ChatGPT; there is much more. */
const node = Type.Object({
  parent: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  children: Type.Optional(Type.Array(Type.String())),
  message: Type.Optional(
    Type.Union([
      Type.Object({
        author: Type.Object({ role: Type.String() }),
        create_time: Type.Optional(Type.Union([Type.Number(), Type.Null()])),
        content: Type.Optional(
          Type.Object({
            content_type: Type.Optional(Type.String()),
            parts: Type.Optional(Type.Array(Type.Unknown())),
          }),
        ),
        metadata: Type.Optional(
          Type.Object({
            model_slug: Type.Optional(Type.Union([Type.String(), Type.Null()])),
            is_visually_hidden_from_conversation: Type.Optional(Type.Boolean()),
          }),
        ),
      }),
      Type.Null(),
    ]),
  ),
})
const chatgptConversation = Type.Object({
  title: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  create_time: Type.Optional(Type.Union([Type.Number(), Type.Null()])),
  current_node: Type.Optional(Type.Union([Type.String(), Type.Null()])),
  mapping: Type.Record(Type.String(), node),
})
type Node = Static<typeof node>
type Chatgpt = Static<typeof chatgptConversation>

export const isChatgpt = (value: unknown) => typeof value === 'object' && value !== null && 'mapping' in value

/** Gives what reads one conversation of ChatGPT's `conversations.json`: questions and answers of all branches. Compiled, as ours are. */
export function createReadChatgpt(): (value: unknown, nowMs: number) => ReadConversation {
  const schema = Compile(chatgptConversation)
  return (value, nowMs) => {
    if (schema.Check(value)) return toExported(value, nowMs)
    const [problem] = schema.Errors(value)
    return { problem: `${problem?.instancePath || 'it'} ${problem?.message ?? 'is no conversation'}`.slice(0, 300) }
  }
}

function toExported(value: Chatgpt, nowMs: number): ReadConversation {
  const createdMs = toMs(value.create_time) ?? nowMs
  const { messages, keptAs } = readTree(value, createdMs)
  if (messages.length === 0) return { problem: 'it holds no questions and answers' }
  return {
    conversation: {
      ...{ format: 'simpleia-conversation', version: 1, pinned: false, settings: {} },
      title: cutTitle(value.title ?? ''),
      created_at: new Date(createdMs).toISOString(),
      leaf_message_id: keptAs.get(value.current_node ?? '') ?? messages.at(-1)?.id ?? null,
      messages,
    },
  }
}

/** What is no question and no answer is left out; what follows it follows what it followed. */
function readTree({ mapping }: Chatgpt, createdMs: number) {
  const messages: KeptMessage[] = []
  const keptAs = new Map<string, string | null>()
  const roots = Object.keys(mapping).filter((id) => mapping[mapping[id]?.parent ?? ''] === undefined)
  const waiting = roots.toReversed().map((id): [id: string, parent: string | null] => [id, null])
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [id, parent] = next
    const one = mapping[id]
    // A list that names one twice would have no end.
    if (one === undefined || keptAs.has(id)) continue
    const message = toKept(one, { id, parent, createdMs })
    if (message !== undefined) messages.push(message)
    const place = message === undefined ? parent : id
    keptAs.set(id, place)
    for (const child of (one.children ?? []).toReversed()) waiting.push([child, place])
  }
  return { messages, keptAs }
}

type Place = Readonly<{ id: string; parent: string | null; createdMs: number }>

function toKept({ message }: Node, { id, parent, createdMs }: Place): KeptMessage | undefined {
  const role = message?.author.role
  if (role !== 'user' && role !== 'assistant') return undefined
  if (message?.metadata?.is_visually_hidden_from_conversation === true) return undefined
  const content = textOf(message?.content)
  if (content.trim() === '') return undefined
  const model = role === 'assistant' ? message?.metadata?.model_slug : undefined
  const createdAt = new Date(toMs(message?.create_time) ?? createdMs).toISOString()
  const known = model === undefined || model === null ? {} : { model }
  return { id, parent_id: parent, role, content, created_at: createdAt, state: 'done', ...known }
}

type Content = NonNullable<NonNullable<Node['message']>['content']>

/** Pictures and the like stay behind. */
function textOf({ content_type: type = 'text', parts = [] }: Content = {}): string {
  if (type !== 'text' && type !== 'multimodal_text') return ''
  return parts.flatMap((part) => (typeof part === 'string' && part !== '' ? [part] : [])).join('\n\n')
}

/** Seconds, within what dates can say. */
function toMs(seconds: number | null | undefined): number | undefined {
  const isTime = typeof seconds === 'number' && seconds > 0 && seconds < 1e11
  return isTime ? Math.round(seconds * 1000) : undefined
}

function cutTitle(title: string): string {
  return title.toWellFormed().replaceAll(/\s+/g, ' ').trim().slice(0, conversationBounds.titleCharacters).toWellFormed()
}
