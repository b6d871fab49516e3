import type { Database } from './tables.ts'

export async function createAdminTables(db: Database): Promise<void> {
  await db.schema
    .createTable('history')
    .addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('started_at', 'text', (column) => column.notNull())
    .addColumn('seconds', 'integer', (column) => column.notNull())
    .addColumn('tally', 'text', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('history_started_at').on('history').columns(['started_at', 'id']).execute()
  await db.schema.createIndex('history_seconds').on('history').columns(['seconds', 'started_at']).execute()
  await db.schema
    .createTable('audit')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('user_id', 'text')
    .addColumn('username', 'text')
    .addColumn('username_key', 'text')
    .addColumn('key_id', 'text')
    .addColumn('address', 'text', (column) => column.notNull())
    .addColumn('action', 'text', (column) => column.notNull())
    .addColumn('target', 'text')
    .addColumn('outcome', 'text', (column) => column.notNull())
    .addColumn('status', 'integer', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('audit_newest').on('audit').columns(['created_at', 'id']).execute()
  await db.schema.createIndex('audit_user').on('audit').columns(['username_key', 'created_at', 'id']).execute()
  await db.schema.createIndex('audit_action').on('audit').columns(['action', 'created_at', 'id']).execute()
}
