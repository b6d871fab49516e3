import { sql } from 'kysely'
import type { Database } from '../storage/tables.ts'
import { type KeptMessage, toMessage } from './message-rows.ts'

/** The ids of a message and of those that led to it, the nearest `limit` of them, oldest first. */
export async function branchIds(db: Database, id: string, limit: number): Promise<string[]> {
  const { rows } = await sql<{ id: string }>`
    with recursive branch(id, parent_id, steps) as (
      select id, parent_id, 1 from messages where id = ${id}
      union all
      select messages.id, messages.parent_id, branch.steps + 1
      from branch inner join messages on messages.id = branch.parent_id where branch.steps < ${limit}
    )
    select id from branch order by steps desc`.execute(db)
  return rows.map((row) => row.id)
}

/** A message and all that led to it, oldest first, `limit` at most. */
export async function readBranch(db: Database, id: string, limit: number): Promise<KeptMessage[]> {
  const ids = await branchIds(db, id, limit)
  const found = new Map<string, KeptMessage>()
  for (let from = 0; from < ids.length; from += 500) {
    const some = ids.slice(from, from + 500)
    const rows = await db.selectFrom('messages').selectAll().where('id', 'in', some).execute()
    for (const row of rows) found.set(row.id, toMessage(row))
  }
  return ids.flatMap((one) => found.get(one) ?? [])
}

/** Of all that follows a message, the newest, which nothing follows; the message itself where nothing does. */
export async function newestLeaf(db: Database, conversationId: string, id: string): Promise<string> {
  const { rows } = await sql<{ id: string }>`
    with recursive below(id, number) as (
      select id, number from messages where id = ${id}
      union all
      select messages.id, messages.number
      from below inner join messages on messages.conversation_id = ${conversationId} and messages.parent_id = below.id
    )
    select id from below order by number desc limit 1`.execute(db)
  return rows[0]?.id ?? id
}
