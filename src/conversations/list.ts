import { type RawBuilder, type SqlBool, sql } from 'kysely'
import { isPostgres } from '../storage/dialect.ts'
import { readCursor, writeCursor } from '../storage/place-cursor.ts'
import { allBeginnings, messageWords, titleWords } from '../storage/postgres-search.ts'
import type { Database } from '../storage/tables.ts'
import type { Owner } from './owner.ts'
import type { ConversationItem, ConversationsPage } from './schema.ts'
import { excerptAround, searchWords, toSearchQuery } from './search-query.ts'

export type ListOptions = Readonly<{ limit: number; cursor: string | undefined; search: string | undefined }>

/** The conversations of one owner, in which the words were found where some are looked for. Throws `invalid` for a cursor that is none. */
export async function listConversations(
  db: Database,
  owner: Owner | undefined,
  { limit, cursor, search }: ListOptions,
): Promise<ConversationsPage> {
  const behind = isBehind(cursor)
  if (owner === undefined) return { items: [], next_cursor: null }
  const own = listOwn(db, owner)
    .where(behind)
    .limit(limit + 1)
  if (search === undefined) return toPage(await own.execute(), limit, () => null)
  const words = searchWords(search)
  if (words.length === 0) return { items: [], next_cursor: null }
  const rows = await own
    .leftJoin(hitsOf(db, owner, words).as('hits'), 'hits.conversationId', 'conversations.id')
    .select('hits.messageNumber')
    .where(({ eb, or }) => or([eb('hits.messageNumber', 'is not', null), isInTitle(db, words)]))
    .execute()
  const texts = await readTexts(
    db,
    rows.flatMap(({ messageNumber }) => messageNumber ?? []),
  )
  return toPage(rows, limit, ({ messageNumber }) => {
    const text = texts.get(messageNumber ?? 0)
    return text === undefined ? null : excerptAround(text, words)
  })
}

const listOwn = (db: Database, owner: Owner) =>
  db
    .selectFrom('conversations')
    .select([
      'conversations.id',
      'conversations.title',
      'conversations.pinned',
      'conversations.createdAt',
      'conversations.updatedAt',
    ])
    .where(`conversations.${owner.column}`, '=', owner.value)
    .where('conversations.deletedAt', 'is', null)
    .orderBy('conversations.pinned', 'desc')
    .orderBy('conversations.updatedAt', 'desc')
    .orderBy('conversations.id', 'desc')

type Row = Readonly<{ id: string; title: string; pinned: 0 | 1; createdAt: string; updatedAt: string }>

/** Of rows, of which one more than its limit was asked for. */
function toPage<One extends Row>(rows: readonly One[], limit: number, excerptOf: (row: One) => string | null): ConversationsPage {
  const items = rows.slice(0, limit).map((row): ConversationItem => {
    const { id, title, pinned, createdAt, updatedAt } = row
    return { id, title, pinned: pinned === 1, created_at: createdAt, updated_at: updatedAt, excerpt: excerptOf(row) }
  })
  const last = rows.length > limit ? rows[limit - 1] : undefined
  const next = last === undefined ? null : writeCursor({ createdAt: last.updatedAt, id: `${last.pinned}:${last.id}` })
  return { items, next_cursor: next }
}

function isBehind(cursor: string | undefined): RawBuilder<SqlBool> {
  if (cursor === undefined) return sql<SqlBool>`1 = 1`
  const { createdAt, id: place } = readCursor(cursor)
  const pinned = place.startsWith('1:') ? 1 : 0
  return sql<SqlBool>`(conversations.pinned, conversations.updated_at, conversations.id) < (${pinned}, ${createdAt}, ${place.slice(2)})`
}

const isInTitle = (db: Database, words: readonly string[]) =>
  isPostgres(db)
    ? sql<SqlBool>`${titleWords} @@ ${allBeginnings(words)}`
    : sql<SqlBool>`conversations.number in (
        select rowid from conversations_search where conversations_search match ${toSearchQuery(words)})`

/** In each conversation the newest message in which the words were found. The index is read once, and leads. */
const hitsOf = (db: Database, owner: Owner, words: readonly string[]) =>
  sql<{ conversationId: string; messageNumber: number }>`(
    select messages.conversation_id, max(messages.number) as message_number
    from ${isPostgres(db) ? foundInPostgres(words) : foundInSqlite(words)}
    and messages.conversation_id in (select id from conversations where ${sql.ref(owner.column)} = ${owner.value})
    group by messages.conversation_id)`

const foundInSqlite = (words: readonly string[]) => sql`
  messages_search cross join messages on messages.number = messages_search.rowid
  where messages_search match ${toSearchQuery(words)}`

const foundInPostgres = (words: readonly string[]) => sql`
  messages where messages.state <> 'writing' and ${messageWords} @@ ${allBeginnings(words)}`

async function readTexts(db: Database, numbers: readonly number[]): Promise<ReadonlyMap<number, string>> {
  const rows = await db.selectFrom('messages').select(['number', 'content']).where('number', 'in', numbers).execute()
  return new Map(rows.map(({ number, content }) => [number, content]))
}
