import { type RawBuilder, type Selectable, sql } from 'kysely'
import type { MessagesTable } from '../storage/conversation-tables.ts'
import { jsonGroup } from '../storage/dialect.ts'
import { latestRating } from '../storage/feedback-sql.ts'
import type { Database } from '../storage/tables.ts'
import type { MessageAnswer } from './schema.ts'

export type MessageRow = Selectable<MessagesTable>

/** A message without what others say of it: which versions there are, and how it was rated. */
export type KeptMessage = Omit<MessageAnswer, 'version_ids' | 'rating'>

/** What is kept of a message. What only some messages have is kept as it is told. */
export function toRow(message: KeptMessage, conversationId: string): Omit<MessageRow, 'number' | 'instanceId' | 'wish'> {
  const {
    id,
    parent_id: parentId,
    role,
    content,
    created_at: createdAt,
    state,
    prediction_id: predictionId,
    ...details
  } = message
  return {
    ...{ id, conversationId, parentId, role, content, createdAt, state },
    predictionId: predictionId ?? null,
    details: JSON.stringify(details),
  }
}

export function toMessage(row: Omit<MessageRow, 'number' | 'conversationId' | 'instanceId' | 'wish'>): KeptMessage {
  const { id, parentId, role, content, createdAt, state, predictionId, details } = row
  return {
    ...{ id, parent_id: parentId, role, content, created_at: createdAt, state },
    ...(predictionId === null ? {} : { prediction_id: predictionId }),
    ...JSON.parse(details),
  }
}

/** A JSON list: the messages with the same parent and role. */
const versionIds = (db: Database) => sql<string>`(
  select ${jsonGroup(db, sql`version.id order by version.number`)} from messages as version
  where version.conversation_id = messages.conversation_id
  and version.parent_id is not distinct from messages.parent_id and version.role = messages.role)`

/** Of whoever the answer was given to. */
const rating: RawBuilder<'up' | 'down' | null> = sql`(
  select ${latestRating} from predictions
  inner join conversations on conversations.id = messages.conversation_id
  where predictions.id = messages.prediction_id and predictions.owner_id is not distinct from conversations.owner_id)`

/** Messages as they are told, in the order of the ids; one that is not there is left out. */
export async function readMessages(db: Database, ids: readonly string[]): Promise<MessageAnswer[]> {
  const found = new Map<string, MessageAnswer>()
  const columns = ['id', 'parentId', 'role', 'content', 'createdAt', 'state', 'predictionId', 'details'] as const
  for (let from = 0; from < ids.length; from += 500) {
    const rows = await db
      .selectFrom('messages')
      .select(columns)
      .select([versionIds(db).as('versionIds'), rating.as('rating')])
      .where('id', 'in', ids.slice(from, from + 500))
      .execute()
    for (const row of rows) found.set(row.id, { ...toMessage(row), ...toTold(row) })
  }
  return ids.flatMap((id) => found.get(id) ?? [])
}

function toTold(row: Readonly<{ versionIds: string; rating: 'up' | 'down' | null }>) {
  return { version_ids: JSON.parse(row.versionIds), ...(row.rating === null ? {} : { rating: row.rating }) }
}
