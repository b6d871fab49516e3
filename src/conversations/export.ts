import { setImmediate } from 'node:timers/promises'
import type { Database } from '../storage/tables.ts'
import { readBranch } from './branch.ts'
import { type ConversationRow, findOwn } from './conversations.ts'
import { type KeptMessage, toMessage } from './message-rows.ts'
import { mostMessages } from './messages.ts'
import type { Owner } from './owner.ts'
import type { ExportedConversation } from './schema.ts'
import { toMarkdown } from './to-markdown.ts'

const rowsPerPiece = 500

/** Conversations as files, by their owner. Throws `not_found` for those of others. */
export interface Exports {
  json(owner: Owner | undefined, id: string): Promise<ExportedConversation>
  /** The branch that is shown, as a text to read. */
  markdown(owner: Owner | undefined, id: string): Promise<Readonly<{ title: string; text: string }>>
  /** A line of JSON for each, the oldest first. */
  all(owner: Owner | undefined): AsyncGenerator<string>
}

export function createExports(db: Database): Exports {
  return {
    json: async (owner, id) => toExported(db, await findOwn(db, owner, id)),

    async markdown(owner, id) {
      const { title, leafId } = await findOwn(db, owner, id)
      const branch = leafId === null ? [] : await readBranch(db, leafId, mostMessages)
      return { title, text: toMarkdown(title, branch) }
    },

    async *all(owner) {
      if (owner === undefined) return
      for (let after = 0; ; await setImmediate()) {
        const row = await db
          .selectFrom('conversations')
          .selectAll()
          .where(owner.column, '=', owner.value)
          .where('deletedAt', 'is', null)
          .where('number', '>', after)
          .orderBy('number')
          .limit(1)
          .executeTakeFirst()
        if (row === undefined) return
        after = row.number
        yield `${JSON.stringify(await toExported(db, row))}\n`
      }
    },
  }
}

async function toExported(db: Database, row: ConversationRow): Promise<ExportedConversation> {
  return {
    format: 'simpleia-conversation',
    version: 1,
    title: row.title,
    pinned: row.pinned === 1,
    created_at: row.createdAt,
    settings: JSON.parse(row.settings),
    leaf_message_id: row.leafId,
    messages: await readAll(db, row.id),
  }
}

/** Each after the one that it follows. */
async function readAll(db: Database, conversationId: string): Promise<KeptMessage[]> {
  const messages: KeptMessage[] = []
  for (let after = 0; ; await setImmediate()) {
    const rows = await db
      .selectFrom('messages')
      .selectAll()
      .where('conversationId', '=', conversationId)
      .where('number', '>', after)
      .orderBy('number')
      .limit(rowsPerPiece)
      .execute()
    messages.push(...rows.map(toMessage))
    const last = rows.at(-1)
    if (last === undefined || rows.length < rowsPerPiece) return messages
    after = last.number
  }
}
