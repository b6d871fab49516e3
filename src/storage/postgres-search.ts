import { type RawBuilder, sql } from 'kysely'
import { AppError } from '../errors.ts'
import type { Database } from './tables.ts'

export const needsVector = (update: string) =>
  `PostgreSQL needs the extension pgvector (0.8 or newer). Install it, and let a superuser run in this database: ${update};`

/** pgvector: https://github.com/pgvector/pgvector. Throws `unavailable` where it is not installed, or too old to search on past a filter. */
export async function createVectorExtension(db: Database): Promise<void> {
  const { rows } = await sql<{ isNew: boolean }>`
    select string_to_array(extversion, '.')::int[] >= '{0,8}' as is_new from pg_extension where extname = 'vector'`.execute(db)
  const [installed] = rows
  if (installed?.isNew === true) return
  const update = installed === undefined ? 'create extension vector' : 'alter extension vector update'
  const message = needsVector(update)
  if (installed !== undefined) throw new AppError('unavailable', message)
  try {
    await sql`create extension vector`.execute(db)
  } catch (cause) {
    throw new AppError('unavailable', message, { cause })
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
  // Some scripts have signs inside their words at which the index cuts them.
  await sql`create or replace function simpleia_beginning(text) returns tsquery language sql immutable strict parallel safe
    return coalesce(
      (select string_agg(quote_literal(lexeme), ' <-> ' order by positions[1]) || ':*' from unnest(simpleia_words($1))), ''
    )::tsquery`.execute(db)
}

/** Words are looked for by what the indexes hold, so a query says it in the same way. */
export const titleWords = sql`simpleia_words(conversations.title)`
export const messageWords = sql`simpleia_words(messages.content)`

/** Finds what holds all of the words, each also as the beginning of a longer one. */
export const allBeginnings = (words: readonly string[]): RawBuilder<unknown> =>
  sql`(${sql.join(
    words.map((word) => sql`simpleia_beginning(${word})`),
    sql` && `,
  )})`

/** The words of titles and messages. An answer that is being written is saved again and again: its words are learned when it is there. */
export async function createConversationsWords(db: Database): Promise<void> {
  await sql`create index conversations_words on conversations using gin (${titleWords})`.execute(db)
  await sql`create index messages_words on messages using gin (${messageWords}) where state <> 'writing'`.execute(db)
}
