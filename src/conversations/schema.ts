import Type, { type Static } from 'typebox'
import { predictBounds } from '../predict/schema.ts'
import { conversationBounds } from './bounds.ts'

export { conversationBounds }

const strict = { additionalProperties: false } as const
const orNull = <const Schema extends Type.TSchema>(schema: Schema) => Type.Union([schema, Type.Null()])
const time = Type.String({ format: 'date-time' })
const id = (description: string) => Type.String({ minLength: 1, maxLength: 100, description })
const anyObject = Type.Unsafe<Readonly<Record<string, unknown>>>({ type: 'object', additionalProperties: true })

const offeredTool = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 64, pattern: '^[A-Za-z0-9_-]+$' }),
    description: Type.Optional(Type.String({ maxLength: 10_000 })),
    parameters: Type.Optional(anyObject),
  },
  strict,
)

/** How answers of a conversation are made; what is left out is as the service does it. */
export const conversationSettings = Type.Object(
  {
    system: Type.Optional(Type.String({ maxLength: conversationBounds.systemCharacters, description: 'The system prompt.' })),
    model: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'Left out: the selected one.' })),
    provider: Type.Optional(Type.String({ minLength: 1, maxLength: 50 })),
    temperature: Type.Optional(Type.Number({ minimum: 0, maximum: predictBounds.temperature })),
    top_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    top_k: Type.Optional(Type.Integer({ minimum: 0, maximum: predictBounds.topK })),
    min_p: Type.Optional(Type.Number({ minimum: 0, maximum: 1 })),
    repeat_penalty: Type.Optional(
      Type.Number({ minimum: predictBounds.repeatPenaltyMin, maximum: predictBounds.repeatPenaltyMax }),
    ),
    seed: Type.Optional(Type.Integer({ minimum: 0, maximum: predictBounds.seed })),
    max_length: Type.Optional(
      Type.Integer({ minimum: 1, maximum: predictBounds.maxTokens, description: 'At most so many new tokens.' }),
    ),
    reasoning: Type.Optional(Type.Enum(['none', 'low', 'medium', 'high'])),
    collection: Type.Optional(
      Type.String({ minLength: 1, maxLength: 200, description: 'Answers come from the documents of this collection.' }),
    ),
    tools: Type.Optional(
      Type.Array(offeredTool, { maxItems: conversationBounds.tools, description: 'Functions that the model may call.' }),
    ),
  },
  strict,
)
export type ConversationSettings = Static<typeof conversationSettings>

const title = Type.String({ minLength: 1, maxLength: conversationBounds.titleCharacters, pattern: '\\S' })

export const newConversation = Type.Object(
  {
    title: Type.Optional({ ...title, description: 'Default: the beginning of the first question.' }),
    settings: Type.Optional(conversationSettings),
  },
  strict,
)
export type NewConversation = Static<typeof newConversation>

/** At least one of them. `settings` replace those that were. */
export const conversationChanges = Type.Object(
  {
    title: Type.Optional(title),
    pinned: Type.Optional(Type.Boolean()),
    settings: Type.Optional(conversationSettings),
    shown_message_id: Type.Optional(id('The message whose branch is shown: it, what led to it, and the newest that follows.')),
  },
  { ...strict, minProperties: 1 },
)
export type ConversationChanges = Static<typeof conversationChanges>

const conversationFields = {
  id: Type.String(),
  title: Type.String({ description: 'Empty until there is a question.' }),
  pinned: Type.Boolean(),
  created_at: time,
  updated_at: Type.String({ format: 'date-time', description: 'When something was said last.' }),
}

export const conversationItem = Type.Object({
  ...conversationFields,
  excerpt: orNull(Type.String({ description: 'In answers to a search: where it was found.' })),
})
export type ConversationItem = Static<typeof conversationItem>

export const conversationAnswer = Type.Object({
  ...conversationFields,
  settings: conversationSettings,
  leaf_message_id: orNull(Type.String({ description: 'The last message of the branch that is shown.' })),
  messages: Type.Integer({ description: 'Of all branches.' }),
  deleted_at: orNull(time),
})
export type ConversationAnswer = Static<typeof conversationAnswer>

export const conversationsQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(Type.String({ maxLength: 500, description: 'next_cursor of the page before.' })),
    search: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 500,
        description: 'Words that stand in a title or a message; the beginning of a word is enough.',
      }),
    ),
  },
  strict,
)
/** Pinned ones first, then by the time of what was said last, newest first. */
export const conversationsPage = Type.Object({ items: Type.Array(conversationItem), next_cursor: orNull(Type.String()) })
export type ConversationsPage = Static<typeof conversationsPage>

const attachment = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 500 }),
    text: Type.String({
      maxLength: predictBounds.promptCharacters,
      description: 'What the file says; it goes before the question.',
    }),
  },
  strict,
)

const content = Type.String({ maxLength: predictBounds.promptCharacters })
const parent = orNull(id('The message that it follows; null: it begins the conversation.'))

/** A message as it is kept, without having it answered: a result of a tool, or an answer that a person has corrected. */
export const newMessage = Type.Object(
  {
    parent_id: parent,
    role: Type.Enum(['user', 'assistant', 'tool']),
    content,
    attachments: Type.Optional(Type.Array(attachment, { maxItems: conversationBounds.attachments })),
    tool_call_id: Type.Optional(id('For a result of a tool: whose result it is.')),
    corrects_id: Type.Optional(id('For an answer: the one that it corrects.')),
  },
  strict,
)
export type NewMessage = Static<typeof newMessage>

/** Has an answer written: to a new question, or (without `content`) to the message that is named, once more. */
export const newAnswer = Type.Object(
  {
    parent_id: parent,
    content: Type.Optional({ ...content, minLength: 1, pattern: '\\S', description: 'A question that follows `parent_id`.' }),
    attachments: Type.Optional(Type.Array(attachment, { maxItems: conversationBounds.attachments })),
    settings: Type.Optional({ ...conversationSettings, description: 'For this answer alone, over those of the conversation.' }),
  },
  strict,
)
export type NewAnswer = Static<typeof newAnswer>

/** `writing`: under way; `stopped`: somebody stopped it; `interrupted`: the process that wrote it ended; `failed`: see `error`. */
export const messageStates = ['done', 'writing', 'stopped', 'interrupted', 'failed'] as const

const source = Type.Object({
  number: Type.Integer({ description: 'What [n] in the answer refers to.' }),
  document_id: orNull(Type.String()),
  id: Type.String({ description: 'Of the passage.' }),
  document: Type.String(),
  source: Type.String(),
  page: orNull(Type.Integer()),
  last_page: orNull(Type.Integer()),
  section: orNull(Type.String()),
  text: Type.String(),
  score: Type.Number(),
})
export type MessageSource = Static<typeof source>

export const messageAnswer = Type.Object({
  id: Type.String(),
  parent_id: orNull(Type.String()),
  role: Type.Enum(['user', 'assistant', 'tool']),
  content: Type.String(),
  created_at: time,
  state: Type.Enum(messageStates),
  /** All versions, itself included, in the order in which they came. */
  version_ids: Type.Array(Type.String(), { description: 'Messages with the same parent, oldest first, this one among them.' }),
  attachments: Type.Optional(Type.Array(attachment)),
  tool_call_id: Type.Optional(Type.String()),
  corrects_id: Type.Optional(Type.String()),
  /** Of answers. */
  reasoning: Type.Optional(Type.String()),
  tool_calls: Type.Optional(Type.Array(Type.Object({ id: Type.String(), name: Type.String(), arguments: Type.String() }))),
  sources: Type.Optional(Type.Array(source)),
  unsupported: Type.Optional(
    Type.Array(Type.Object({ offset: Type.Integer(), length: Type.Integer() }), {
      description: 'Sentences of the answer that no source says, in UTF-16 code units.',
    }),
  ),
  prediction_id: Type.Optional(Type.String({ description: 'For feedback.' })),
  rating: Type.Optional(Type.Enum(['up', 'down'], { description: 'The latest feedback on it.' })),
  model: Type.Optional(Type.String()),
  provider: Type.Optional(Type.String()),
  ran_on: Type.Optional(Type.Enum(['local', 'cloud'])),
  finish_reason: Type.Optional(Type.String()),
  usage: Type.Optional(Type.Object({ prompt_tokens: Type.Integer(), completion_tokens: Type.Integer() })),
  timings: Type.Optional(Type.Object({ first_token_ms: Type.Number(), tokens_per_second: Type.Number() })),
  error: Type.Optional(Type.Object({ code: Type.String(), message: Type.String() })),
})
export type MessageAnswer = Static<typeof messageAnswer>

export const messagesQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 500, default: 50 }),
    before: Type.Optional(id('A message of the branch: those that led to it.')),
    leaf: Type.Optional(id('The last message of the branch. Default: that of the one that is shown.')),
  },
  strict,
)
/** Of one branch, oldest first: the last `limit` of it, or of what led to `before`. */
export const messagesPage = Type.Object({
  items: Type.Array(messageAnswer),
  has_more: Type.Boolean({ description: 'Whether older ones led to the first of these.' }),
})
export type MessagesPage = Static<typeof messagesPage>

/** The question that was kept (or was there), and the answer that is being written now. */
export const begunAnswer = Type.Object({ question: messageAnswer, answer: messageAnswer })
export type BegunAnswer = Static<typeof begunAnswer>

export const byConversation = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) }, strict)
export const byMessage = Type.Object(
  { id: Type.String({ minLength: 1, maxLength: 100 }), message_id: Type.String({ minLength: 1, maxLength: 100 }) },
  strict,
)

/**
 * What the events of an answer tell: GET /conversations/{id}/messages/{message_id}/events. The first is `snapshot`, with all that is there;
 * pieces follow; the last is `end` with the whole message. Whoever lost the connection asks again and gets a new snapshot.
 */
export type MessageEvent =
  | Readonly<{ type: 'snapshot'; message: MessageAnswer }>
  | Readonly<{ type: 'text' | 'reasoning'; text: string }>
  | Readonly<{ type: 'tool-call'; index: number; id: string; name: string }>
  | Readonly<{ type: 'tool-arguments'; index: number; text: string }>
  | Readonly<{ type: 'sources'; sources: readonly MessageSource[] }>
  /** What is waited for before the first piece. */
  | Readonly<{ type: 'waiting'; for: 'queue' | 'model' }>
  | Readonly<{ type: 'end'; message: MessageAnswer }>

export const presetBody = Type.Object(
  { name: Type.String({ minLength: 1, maxLength: 100, pattern: '\\S' }), settings: conversationSettings },
  strict,
)
export type PresetBody = Static<typeof presetBody>
export const presetAnswer = Type.Object({
  id: Type.String(),
  name: Type.String(),
  settings: conversationSettings,
  created_at: time,
})
export type PresetAnswer = Static<typeof presetAnswer>
export const presetList = Type.Object({ items: Type.Array(presetAnswer) })
export type PresetList = Static<typeof presetList>

const { version_ids: _versions, rating: _rating, ...exportedFields } = messageAnswer.properties

/** One conversation as it is exported, a line each: with all messages of all branches, each after the one that it follows. */
export const exportedConversation = Type.Object({
  format: Type.Literal('simpleia-conversation'),
  version: Type.Literal(1),
  title: Type.String({ maxLength: conversationBounds.titleCharacters }),
  pinned: Type.Boolean(),
  created_at: time,
  settings: conversationSettings,
  leaf_message_id: orNull(Type.String()),
  messages: Type.Array(Type.Object(exportedFields)),
})
export type ExportedConversation = Static<typeof exportedConversation>

export const importAnswer = Type.Object({
  imported: Type.Integer({ description: 'Conversations.' }),
  messages: Type.Integer(),
  skipped: Type.Array(Type.Object({ line: Type.Integer(), reason: Type.String() })),
})
export type ImportAnswer = Static<typeof importAnswer>

export const exportQuery = Type.Object(
  {
    format: Type.Enum(['json', 'markdown'], {
      default: 'json',
      description: 'A line to import, or a text to read: the branch that is shown.',
    }),
  },
  strict,
)
