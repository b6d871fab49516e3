import { sql } from 'kysely'
import { AppError } from '../errors.ts'
import type { Database } from './tables.ts'

/** pgvector: https://github.com/pgvector/pgvector. Throws `unavailable` where it is not installed. */
export async function createVectorExtension(db: Database): Promise<void> {
  const { rows } = await sql`select 1 from pg_extension where extname = 'vector'`.execute(db)
  if (rows.length > 0) return
  try {
    await sql`create extension vector`.execute(db)
  } catch (cause) {
    throw new AppError(
      'unavailable',
      'PostgreSQL needs the extension pgvector (0.8 or newer). Install it, and let a superuser run in this database: create extension vector;',
      { cause },
    )
  }
}

/**
 * Punctuation and symbols, by code points, so that it is the same in all installations whatever their locale; and what stands for a NUL
 * (postgres-text.ts).
 */
const noWords = '(?:\\ufffe[0E]?|[\\u0021-\\u002f\\u003a-\\u0040\\u005b-\\u0060\\u007b-\\u00bf\\u2000-\\u206f\\u3000-\\u303f])+'
/** What makes an accent of a letter. */
const marks = '[\\u0300-\\u036f]+'
/** Characters whose words are found: a tsvector holds at most 1 MB. */
const searchedCharacters = 200_000

/** The words of a text: letters and digits, without accents, in lower case, and none of them changed or left out. */
export async function createWordsFunction(db: Database): Promise<void> {
  // Cut once more: one character can become eighteen.
  const plain = `regexp_replace(left(normalize(left($1, ${searchedCharacters}), NFKD), ${searchedCharacters}), '${marks}', '', 'g')`
  await sql
    .raw(`create or replace function simpleia_words(text) returns tsvector language sql immutable strict parallel safe
      return to_tsvector('simple', regexp_replace(${plain}, '${noWords}', ' ', 'g'))`)
    .execute(db)
}

/** Words are looked for by what the indexes hold, so a query says it in the same way. */
export const titleWords = sql`simpleia_words(conversations.title)`
export const messageWords = sql`simpleia_words(messages.content)`

/** The words of titles and messages. An answer that is being written is saved again and again: its words are learned when it is there. */
export async function createConversationsWords(db: Database): Promise<void> {
  await sql`create index conversations_words on conversations using gin (${titleWords})`.execute(db)
  await sql`create index messages_words on messages using gin (${messageWords}) where state <> 'writing'`.execute(db)
}
