import { sql } from 'kysely'
import { isPostgres } from './dialect.ts'
import { createConversationsWords } from './postgres-search.ts'
import type { Database } from './tables.ts'

export async function createConversationTables(db: Database): Promise<void> {
  await db.schema
    .createTable('conversations')
    .addColumn('number', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('owner_id', 'text', (column) => column.references('users.id').onDelete('cascade'))
    .addColumn('visitor', 'text')
    .addColumn('title', 'text', (column) => column.notNull())
    .addColumn('pinned', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('settings', 'text', (column) => column.notNull())
    .addColumn('leaf_id', 'text')
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('updated_at', 'text', (column) => column.notNull())
    .addColumn('deleted_at', 'text')
    .execute()
  const listed = ['pinned', 'updated_at', 'id'] as const
  await db.schema
    .createIndex('conversations_owner')
    .on('conversations')
    .columns(['owner_id', ...listed])
    .execute()
  await db.schema
    .createIndex('conversations_visitor')
    .on('conversations')
    .columns(['visitor', ...listed])
    .execute()
  await sql`create index conversations_deleted on conversations (deleted_at) where deleted_at is not null`.execute(db)
  await createMessagesTable(db)
  await createPresetsTable(db)
  await createConversationsSearch(db)
}

/** Until then only what was said told the time, and what is imported was said long before it came. */
export async function addConversationUse(db: Database): Promise<void> {
  await db.schema
    .alterTable('conversations')
    .addColumn('used_at', 'text', (column) => column.notNull().defaultTo(''))
    .execute()
  await sql`update conversations set used_at = ${new Date().toISOString()}`.execute(db)
  await sql`create index conversations_left on conversations (used_at) where visitor is not null`.execute(db)
}

async function createMessagesTable(db: Database): Promise<void> {
  await db.schema
    .createTable('messages')
    .addColumn('number', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('id', 'text', (column) => column.notNull().unique())
    .addColumn('conversation_id', 'text', (column) => column.notNull().references('conversations.id').onDelete('cascade'))
    // No reference: they go together with their conversation, and never alone.
    .addColumn('parent_id', 'text')
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('prediction_id', 'text')
    .addColumn('created_at', 'text', (column) => column.notNull())
    // What is long comes last, so that the rest is read without it.
    .addColumn('content', 'text', (column) => column.notNull())
    .addColumn('details', 'text', (column) => column.notNull())
    .execute()
  await db.schema
    .createIndex('messages_siblings')
    .on('messages')
    .columns(['conversation_id', 'parent_id', 'role', 'number', 'id'])
    .execute()
  await sql`create index messages_writing on messages (id) where state = 'writing'`.execute(db)
}

async function createPresetsTable(db: Database): Promise<void> {
  await db.schema
    .createTable('presets')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('owner_id', 'text', (column) => column.references('users.id').onDelete('cascade'))
    .addColumn('visitor', 'text')
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('settings', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('presets_owner').on('presets').columns(['owner_id', 'name']).execute()
  await db.schema.createIndex('presets_visitor').on('presets').columns(['visitor', 'name']).execute()
}

/**
 * The words of titles and messages, kept apart from the texts as those of passages are. An answer that is being written is saved again and
 * again: its words are learned when it is there.
 */
async function createConversationsSearch(db: Database): Promise<void> {
  if (isPostgres(db)) return createConversationsWords(db)
  const forgetTitle = `insert into conversations_search(conversations_search, rowid, title) values ('delete', old.number, old.title);`
  const learnTitle = 'insert into conversations_search(rowid, title) values (new.number, new.title);'
  const forget = `insert into messages_search(messages_search, rowid, content)
    select 'delete', old.number, old.content where old.state <> 'writing';`
  const learn = `insert into messages_search(rowid, content) select new.number, new.content where new.state <> 'writing';`
  const words = (table: string, column: string) =>
    `fts5(${column}, content = '${table}', content_rowid = 'number', tokenize = 'unicode61 remove_diacritics 2')`
  const statements = [
    `create virtual table conversations_search using ${words('conversations', 'title')}`,
    `create trigger conversations_search_insert after insert on conversations begin ${learnTitle} end`,
    `create trigger conversations_search_delete after delete on conversations begin ${forgetTitle} end`,
    `create trigger conversations_search_update after update of title on conversations begin ${forgetTitle} ${learnTitle} end`,
    `create virtual table messages_search using ${words('messages', 'content')}`,
    `create trigger messages_search_insert after insert on messages begin ${learn} end`,
    `create trigger messages_search_delete after delete on messages begin ${forget} end`,
    `create trigger messages_search_update after update of content, state on messages begin ${forget} ${learn} end`,
  ]
  for (const statement of statements) await sql.raw(statement).execute(db)
}
