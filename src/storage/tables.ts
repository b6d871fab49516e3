import type { Generated, Kysely } from 'kysely'
import type { AdminTables } from './admin-tables.ts'
import type { ConversationTables } from './conversation-tables.ts'
import type { InstanceTables } from './instance-tables.ts'
import type { LearningTables } from './learning-tables.ts'

export type { FeedbackTable } from './learning-tables.ts'

/** Each time is a UTC ISO 8601 text that ends in `Z`; columns are snake_case in SQL and camelCase here. */
export interface UsersTable {
  id: string
  /** As shown. */
  username: string
  /** What makes two usernames the same; unique. */
  usernameKey: string
  passwordHash: string
  role: 'admin' | 'user'
  /** Goes up when every token of the user must die. */
  tokenGeneration: number
  /** What the user may use in a UTC day. Null: what the settings say for all users; 0: without limit. */
  requestsPerDay: number | null
  tokensPerDay: number | null
  costMicrosPerDay: number | null
  /** 0 when no answers to this user are remembered. */
  keepsPredictions: Generated<0 | 1>
  createdAt: string
  updatedAt: string
}

export interface ApiKeysTable {
  /** The public part of the key. */
  id: string
  userId: string
  /** As the user calls it. */
  name: string
  /** SHA-256 of the secret part, in hex. */
  secretHash: string
  /** The end of the secret, so that people can tell their keys apart. */
  lastFour: string
  /** A JSON array. */
  scopes: string
  /** What the key may use in a UTC day. Null: without limit. */
  requestsPerDay: number | null
  tokensPerDay: number | null
  costMicrosPerDay: number | null
  createdAt: string
  /** From then on the key is dead. */
  expiresAt: string | null
  /** To the minute. */
  lastUsedAt: string | null
}

/** What was used in one day. */
export interface UsageDaysTable {
  /** `user:ID`, `key:ID`, or `provider:NAME`. */
  subject: string
  /** In UTC, as `2026-01-31`. */
  day: string
  /** Those that were let in, whatever became of them. */
  requests: number
  promptTokens: number
  completionTokens: number
  /** Millionths of a US dollar. */
  costMicros: number
}

/** Tokens that were logged out before their time. */
export interface RevokedTokensTable {
  tokenId: string
  /** After this the token is dead by itself and the row can go. */
  expiresAt: string
}

/** Logins, so that their users see and end them; whether a token is good is not asked here. */
export interface SessionsTable {
  /** Of the token. */
  id: string
  userId: string
  /** That of the user then: with another one it has ended. */
  tokenGeneration: number
  /** What the client called itself. */
  agent: string | null
  createdAt: string
  /** After this the token is dead by itself and the row can go. */
  expiresAt: string
}

/** Passages that are searched together, with vectors of one model. */
export interface CollectionsTable {
  id: string
  /** Null for what anonymous callers made. */
  ownerId: string | null
  /** Unique among those of its owner. */
  name: string
  /** 1 when every caller may search it; only its owner may change it. */
  isShared: 0 | 1
  /** The embedding model of the vectors that answer. */
  model: string
  dimensions: number
  /** The model that is to follow, while its vectors are being made. */
  nextModel: string | null
  createdAt: string
  updatedAt: string
}

/** A file, page or text that passages were cut from. */
export interface DocumentsTable {
  id: string
  collectionId: string
  /** As shown: the title, else the file's name. */
  name: string
  /** What tells that it is the same document in a new version: the address, the path, or the file's name. Unique in a collection. */
  source: string
  mediaType: string
  /** SHA-256 of the bytes, in hex. */
  sha256: string
  sizeBytes: number
  /** Null where the format has no pages. */
  pages: number | null
  createdAt: string
  updatedAt: string
}

/** What is found: a text that was added as it is, or a chunk of a document. */
export interface PassagesTable {
  /** The number that the passage has in the indexes. */
  id: Generated<number>
  collectionId: string
  /** The name by which callers know it; unique in a collection. */
  itemId: string
  documentId: string | null
  /** Which chunk of its document it is, from 0. */
  position: number
  text: string
  /** A JSON object. */
  metadata: string
  /** First and last page, from 1. */
  page: number | null
  lastPage: number | null
  /** The headings above it, outermost first, with " > " between. */
  section: string | null
  /** Where it begins and ends in the document's text, in UTF-16 code units. */
  startOffset: number | null
  endOffset: number | null
  createdAt: string
}

/**
 * A passage has one vector of each model that its collection uses or is being moved to. PostgreSQL also knows of which collection each is
 * (postgres-passages.ts).
 */
export interface VectorsTable {
  passageId: number
  model: string
  /** 32-bit floats, little-endian, of unit length; in PostgreSQL a list of numbers. */
  vector: Buffer | string
}

/** An errand that left this machine: the ledger of docs/egress.md. */
export interface EgressTable {
  id: string
  startedAt: string
  /** `interrupted`: whoever did it has died meanwhile. */
  state: 'open' | 'ended' | 'interrupted'
  purpose: string
  /** `user:ID`, `address:…`; null where nobody asked. Outlives the user. */
  requestedBy: string | null
  provider: string | null
  model: string | null
  /** A JSON list of names and addresses. */
  hosts: string
  requests: number
  /** HTTP status of the last answer; null when none came. */
  status: number | null
  bytesOut: number
  bytesIn: number
  /** Null where the other side counted none. */
  promptTokens: number | null
  completionTokens: number | null
  cachedPromptTokens: number | null
  /** Millionths of a US dollar; null where no price is known. */
  costMicrodollars: number | null
  /** Null until it has ended. */
  durationMs: number | null
  /** The process that does it. */
  instanceId: string | null
}

/** Answers that can be asked for again, and gone on from, by their owner. */
export interface ResponsesTable {
  /** As callers know it: `resp_…`. */
  id: string
  /** Null for one without an account. */
  ownerId: string | null
  /** Who asked, where that was nobody with an account. */
  ownerKey: string | null
  /** The response that it goes on from; it may have been deleted. */
  previousId: string | null
  /** A JSON list of the items of the request. */
  input: string
  /** A JSON object: the response as it was given. */
  response: string
  createdAt: string
}

export interface SchemaMigrationsTable {
  id: string
  appliedAt: string
}

export interface Tables extends LearningTables, ConversationTables, AdminTables, InstanceTables {
  users: UsersTable
  revokedTokens: RevokedTokensTable
  sessions: SessionsTable
  apiKeys: ApiKeysTable
  usageDays: UsageDaysTable
  collections: CollectionsTable
  documents: DocumentsTable
  passages: PassagesTable
  vectors: VectorsTable
  egress: EgressTable
  responses: ResponsesTable
  schemaMigrations: SchemaMigrationsTable
}

/** The database, or a transaction in it. */
export type Database = Kysely<Tables>
