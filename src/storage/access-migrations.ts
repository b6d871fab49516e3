import type { Database } from './tables.ts'

export async function createApiKeysTable(db: Database): Promise<void> {
  await db.schema
    .createTable('api_keys')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('user_id', 'text', (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('secret_hash', 'text', (column) => column.notNull())
    .addColumn('last_four', 'text', (column) => column.notNull())
    .addColumn('scopes', 'text', (column) => column.notNull())
    .addColumn('requests_per_day', 'bigint')
    .addColumn('tokens_per_day', 'bigint')
    .addColumn('cost_micros_per_day', 'bigint')
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('expires_at', 'text')
    .addColumn('last_used_at', 'text')
    .execute()
  await db.schema.createIndex('api_keys_user_id').on('api_keys').column('user_id').execute()
  await db.schema.createIndex('api_keys_newest').on('api_keys').columns(['created_at', 'id']).execute()
}

export async function createSessionsTable(db: Database): Promise<void> {
  await db.schema
    .createTable('sessions')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('user_id', 'text', (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('token_generation', 'integer', (column) => column.notNull())
    .addColumn('agent', 'text')
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('expires_at', 'text', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('sessions_user_id').on('sessions').columns(['user_id', 'created_at']).execute()
  await db.schema.createIndex('sessions_expires_at').on('sessions').column('expires_at').execute()
}

/** No reference to users or keys: what a provider has cost is a fact after they are gone, too. */
export async function createUsageTable(db: Database): Promise<void> {
  for (const column of ['requests_per_day', 'tokens_per_day', 'cost_micros_per_day'])
    await db.schema.alterTable('users').addColumn(column, 'bigint').execute()
  await db.schema
    .createTable('usage_days')
    .addColumn('subject', 'text', (column) => column.notNull())
    .addColumn('day', 'text', (column) => column.notNull())
    .addColumn('requests', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('prompt_tokens', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('completion_tokens', 'bigint', (column) => column.notNull().defaultTo(0))
    .addColumn('cost_micros', 'bigint', (column) => column.notNull().defaultTo(0))
    .addPrimaryKeyConstraint('usage_days_key', ['subject', 'day'])
    .execute()
}
