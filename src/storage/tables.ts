import type { Kysely } from 'kysely'

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

export interface SchemaMigrationsTable {
  id: string
  appliedAt: string
}

export interface Tables {
  users: UsersTable
  revokedTokens: RevokedTokensTable
  feedback: FeedbackTable
  schemaMigrations: SchemaMigrationsTable
}

/** The database, or a transaction in it. */
export type Database = Kysely<Tables>
