import type { Generated, Kysely } from 'kysely'

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
  createdAt: string
  updatedAt: string
}

/** Tokens that were logged out before their time. */
export interface RevokedTokensTable {
  tokenId: string
  /** After this the token is dead by itself and the row can go. */
  expiresAt: string
}

export interface FeedbackTable {
  id: string
  /** Null for an anonymous caller, and after the user was deleted. */
  userId: string | null
  predictionId: string | null
  rating: 'up' | 'down' | null
  /** As typed; made safe where it is shown. */
  text: string | null
  correction: string | null
  createdAt: string
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

/** A passage has one vector of each model that its collection uses or is being moved to. */
export interface VectorsTable {
  passageId: number
  model: string
  /** 32-bit floats, little-endian, of unit length. */
  vector: Buffer
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

export interface Tables {
  users: UsersTable
  revokedTokens: RevokedTokensTable
  feedback: FeedbackTable
  collections: CollectionsTable
  documents: DocumentsTable
  passages: PassagesTable
  vectors: VectorsTable
  responses: ResponsesTable
  schemaMigrations: SchemaMigrationsTable
}

/** The database, or a transaction in it. */
export type Database = Kysely<Tables>
