import { randomUUID } from 'node:crypto'
import { type Selectable, sql } from 'kysely'
import { AppError } from '../errors.ts'
import type { ConversationsTable } from '../storage/conversation-tables.ts'
import type { Database } from '../storage/tables.ts'
import { newestLeaf } from './branch.ts'
import type { Owner } from './owner.ts'
import type { ConversationAnswer, ConversationChanges, ConversationSettings, NewConversation } from './schema.ts'

export type ConversationRow = Selectable<ConversationsTable>

/** What one owner has at most. */
export const mostConversations = 20_000
/** For so long a conversation that was deleted can be brought back. */
export const restoreMs = 24 * 60 * 60 * 1000

export type ConversationsParts = Readonly<{ db: Database /** Milliseconds since 1970. */; now: () => number }>

/** Conversations by their owner. Throws `not_found` for those of others, and for those that were deleted. */
export interface Conversations {
  /** Throws `conflict` for too many. */
  create(owner: Owner, given: NewConversation): Promise<ConversationAnswer>
  get(owner: Owner | undefined, id: string): Promise<ConversationAnswer>
  /** Throws `not_found` for a message that is not in it, too. */
  change(owner: Owner | undefined, id: string, changes: ConversationChanges): Promise<ConversationAnswer>
  /** It can be restored for a day. */
  remove(owner: Owner | undefined, id: string): Promise<void>
  /** What is there already stays as it is. Throws `not_found` after a day. */
  restore(owner: Owner | undefined, id: string): Promise<ConversationAnswer>
}

export function createConversations({ db, now }: ConversationsParts): Conversations {
  const time = () => new Date(now()).toISOString()
  return {
    async create(owner, { title = '', settings = {} }) {
      const row = newRow(owner, { title: title.trim().toWellFormed(), settings, createdAt: time(), usedAt: time() })
      await db.transaction().execute(async (transaction) => {
        await refuseMore(transaction, owner, 1)
        await transaction.insertInto('conversations').values(row).execute()
      })
      return toAnswer(db, row)
    },

    get: async (owner, id) => toAnswer(db, await findOwn(db, owner, id)),

    async change(owner, id, { title, pinned, settings, shown_message_id: shownId }) {
      await db.transaction().execute(async (transaction) => {
        await findOwn(transaction, owner, id)
        await transaction
          .updateTable('conversations')
          .set({
            usedAt: time(),
            ...(title === undefined ? {} : { title: title.trim().toWellFormed() }),
            ...(pinned === undefined ? {} : { pinned: pinned ? 1 : 0 }),
            ...(settings === undefined ? {} : { settings: JSON.stringify(settings) }),
            ...(shownId === undefined ? {} : { leafId: await leafOf(transaction, id, shownId) }),
          })
          .where('id', '=', id)
          .execute()
      })
      return toAnswer(db, await findOwn(db, owner, id))
    },

    async remove(owner, id) {
      await findOwn(db, owner, id)
      await db.updateTable('conversations').set({ deletedAt: time() }).where('id', '=', id).execute()
    },

    async restore(owner, id) {
      const since = new Date(now() - restoreMs).toISOString()
      if (owner !== undefined)
        await db
          .updateTable('conversations')
          .set({ deletedAt: null, usedAt: time() })
          .where('id', '=', id)
          .where(owner.column, '=', owner.value)
          .where('deletedAt', '>', since)
          .execute()
      return toAnswer(db, await findOwn(db, owner, id))
    },
  }
}

type NewRow = Readonly<{ title: string; settings: ConversationSettings; createdAt: string; usedAt: string }>

export function newRow(owner: Owner, { title, settings, createdAt, usedAt }: NewRow): Omit<ConversationRow, 'number'> {
  return {
    id: randomUUID(),
    ownerId: owner.column === 'ownerId' ? owner.value : null,
    visitor: owner.column === 'visitor' ? owner.value : null,
    title,
    pinned: 0,
    settings: JSON.stringify(settings),
    leafId: null,
    createdAt,
    updatedAt: createdAt,
    usedAt,
    deletedAt: null,
  }
}

/** Throws `conflict` where the owner would have too many. */
export async function refuseMore(db: Database, owner: Owner, more: number): Promise<void> {
  const { count } = await db
    .selectFrom('conversations')
    .select(sql<number>`count(*)`.as('count'))
    .where(owner.column, '=', owner.value)
    .executeTakeFirstOrThrow()
  if (count + more <= mostConversations) return
  throw new AppError(
    'conflict',
    `You may have ${mostConversations} conversations. Delete some that you need no more; those count for a day yet.`,
  )
}

/** Throws `not_found`. */
export async function findOwn(db: Database, owner: Owner | undefined, id: string): Promise<ConversationRow> {
  if (owner === undefined) throw noConversation(id)
  const row = await db
    .selectFrom('conversations')
    .selectAll()
    .where('id', '=', id)
    .where(owner.column, '=', owner.value)
    .where('deletedAt', 'is', null)
    .executeTakeFirst()
  if (row === undefined) throw noConversation(id)
  return row
}

async function leafOf(db: Database, conversationId: string, messageId: string): Promise<string> {
  await refuseForeign(db, conversationId, messageId)
  return newestLeaf(db, conversationId, messageId)
}

/** Throws `not_found` for a message that is not in the conversation. */
export async function refuseForeign(db: Database, conversationId: string, messageId: string): Promise<void> {
  const row = await db
    .selectFrom('messages')
    .select('id')
    .where('id', '=', messageId)
    .where('conversationId', '=', conversationId)
    .executeTakeFirst()
  if (row === undefined) throw noMessage(messageId)
}

async function toAnswer(db: Database, row: Omit<ConversationRow, 'number'>): Promise<ConversationAnswer> {
  const { count } = await db
    .selectFrom('messages')
    .select(sql<number>`count(*)`.as('count'))
    .where('conversationId', '=', row.id)
    .executeTakeFirstOrThrow()
  return {
    id: row.id,
    title: row.title,
    pinned: row.pinned === 1,
    created_at: row.createdAt,
    updated_at: row.updatedAt,
    settings: JSON.parse(row.settings),
    leaf_message_id: row.leafId,
    messages: count,
    deleted_at: row.deletedAt,
  }
}

const noConversation = (id: string) =>
  new AppError('not_found', `There is no conversation "${id.slice(0, 100)}". GET /conversations lists yours.`)

export const noMessage = (id: string) => new AppError('not_found', `This conversation has no message "${id.slice(0, 100)}".`)
