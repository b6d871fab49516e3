import { type RawBuilder, type SqlBool, sql } from 'kysely'
import { readCursor, writeCursor } from '../storage/place-cursor.ts'
import type { Database } from '../storage/tables.ts'
import type { Owner } from './owner.ts'
import type { ConversationItem, ConversationsPage } from './schema.ts'
import { toSearchQuery } from './search-query.ts'

export type ListOptions = Readonly<{ limit: number; cursor: string | undefined; search: string | undefined }>

const listed = ['id', 'title', 'pinned', 'createdAt', 'updatedAt'] as const
/** Words of the text around what was found. */
const excerptWords = 24

/** The conversations of one owner, in which the words were found where some are looked for. Throws `invalid` for a cursor that is none. */
export async function listConversations(
  db: Database,
  owner: Owner | undefined,
  { limit, cursor, search }: ListOptions,
): Promise<ConversationsPage> {
  const behind = isBehind(cursor)
  const words = search === undefined ? undefined : toSearchQuery(search)
  if (owner === undefined || (search !== undefined && words === undefined)) return { items: [], next_cursor: null }
  const rows = await db
    .selectFrom('conversations')
    .select(listed)
    .where(owner.column, '=', owner.value)
    .where('deletedAt', 'is', null)
    .$if(words !== undefined, (query) => query.where(holds(words ?? '')))
    .where(behind)
    .orderBy('pinned', 'desc')
    .orderBy('updatedAt', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  const items: ConversationItem[] = []
  for (const { id, title, pinned, createdAt, updatedAt } of rows.slice(0, limit)) {
    const excerpt = words === undefined ? null : await excerptOf(db, id, words)
    items.push({ id, title, pinned: pinned === 1, created_at: createdAt, updated_at: updatedAt, excerpt })
  }
  const last = rows.length > limit ? rows[limit - 1] : undefined
  const next = last === undefined ? null : writeCursor({ createdAt: last.updatedAt, id: `${last.pinned}:${last.id}` })
  return { items, next_cursor: next }
}

function isBehind(cursor: string | undefined): RawBuilder<SqlBool> {
  if (cursor === undefined) return sql<SqlBool>`1 = 1`
  const { createdAt, id: place } = readCursor(cursor)
  const pinned = place.startsWith('1:') ? 1 : 0
  return sql<SqlBool>`(pinned, updated_at, id) < (${pinned}, ${createdAt}, ${place.slice(2)})`
}

const holds = (words: string) =>
  sql<SqlBool>`(
    conversations.number in (select rowid from conversations_search where conversations_search match ${words})
    or conversations.id in (
      select messages.conversation_id from messages_search
      inner join messages on messages.number = messages_search.rowid
      where messages_search match ${words}))`

/** Null where the words stand in the title alone. */
async function excerptOf(db: Database, conversationId: string, words: string): Promise<string | null> {
  const { rows } = await sql<{ excerpt: string }>`
    select snippet(messages_search, 0, '', '', '…', ${excerptWords}) as excerpt from messages_search
    where messages_search match ${words}
    and rowid in (select number from messages where conversation_id = ${conversationId})
    order by rowid desc limit 1`.execute(db)
  const [found] = rows
  return found === undefined ? null : found.excerpt.replaceAll(/\s+/g, ' ').trim()
}
