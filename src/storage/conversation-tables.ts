import type { Generated } from 'kysely'

export interface ConversationsTable {
  /** Never given twice: what the words of its title are kept under. Given by the database. */
  number: Generated<number>
  /** As callers know it. */
  id: string
  /** Null for one without an account. */
  ownerId: string | null
  /** Of somebody without an account: the SHA-256, in hex, of what their browser holds. */
  visitor: string | null
  /** Empty until there is a question. */
  title: string
  pinned: 0 | 1
  /** A JSON object: `ConversationSettings`. */
  settings: string
  /** The end of the branch that is shown; null while there are no messages. */
  leafId: string | null
  createdAt: string
  /** When something was said last. */
  updatedAt: string
  /** When its owner made, brought in, changed or continued it last. */
  usedAt: string
  /** Null while it is there. */
  deletedAt: string | null
}

/** The messages of a conversation are a tree. */
export interface MessagesTable {
  /** Greater than those of all that came before it. Given by the database. */
  number: Generated<number>
  id: string
  conversationId: string
  /** What it follows; null: it begins the conversation. */
  parentId: string | null
  role: 'user' | 'assistant' | 'tool'
  content: string
  state: 'done' | 'writing' | 'stopped' | 'interrupted' | 'failed'
  /** A JSON object: those fields of a message on the wire that only some have. */
  details: string
  /** What feedback names. */
  predictionId: string | null
  createdAt: string
  /** The process that writes, or wrote, the answer. */
  instanceId: string | null
  /** What that process is asked to do. */
  wish: 'stop' | null
}

export interface PresetsTable {
  id: string
  ownerId: string | null
  /** As of conversations. */
  visitor: string | null
  name: string
  /** A JSON object: `ConversationSettings`. */
  settings: string
  createdAt: string
}

export interface ConversationTables {
  conversations: ConversationsTable
  messages: MessagesTable
  presets: PresetsTable
}
