import { AppError } from '../errors.ts'
import type { Database } from './tables.ts'

export type Migration = Readonly<{ id: string; up: (db: Database) => Promise<void> }>

/** Append only: never edit one that has shipped. The statements are those that SQLite and PostgreSQL share. */
export const migrations: readonly Migration[] = [
  { id: '001-users', up: createUsersTable },
  { id: '002-revoked-tokens', up: createRevokedTokensTable },
  { id: '003-feedback', up: createFeedbackTable },
]

/**
 * Brings the tables up to date. Each migration runs once, in a transaction with the note that it ran.
 * Throws `unavailable` when a newer simpleIA has already gone further.
 */
export async function migrate(db: Database, now: () => number, list: readonly Migration[] = migrations): Promise<void> {
  await db.schema
    .createTable('schema_migrations')
    .ifNotExists()
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('applied_at', 'text', (column) => column.notNull())
    .execute()
  await refuseNewerSchema(db, list)
  for (const migration of list) await runOnce(db, migration, now)
}

async function refuseNewerSchema(db: Database, list: readonly Migration[]): Promise<void> {
  const known = new Set(list.map(({ id }) => id))
  const applied = await db.selectFrom('schemaMigrations').select('id').orderBy('id').execute()
  const newer = applied.find(({ id }) => !known.has(id))
  if (newer === undefined) return
  throw new AppError(
    'unavailable',
    `A newer simpleIA has changed the database ("${newer.id}", which this version does not know). Update simpleIA, or use another data folder.`,
  )
}

async function runOnce(db: Database, migration: Migration, now: () => number): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    // Asked inside the transaction: another process may have started at the same time.
    const done = await transaction.selectFrom('schemaMigrations').select('id').where('id', '=', migration.id).executeTakeFirst()
    if (done !== undefined) return
    await migration.up(transaction)
    const appliedAt = new Date(now()).toISOString()
    await transaction.insertInto('schemaMigrations').values({ id: migration.id, appliedAt }).execute()
  })
}

async function createUsersTable(db: Database): Promise<void> {
  await db.schema
    .createTable('users')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('username', 'text', (column) => column.notNull())
    .addColumn('username_key', 'text', (column) => column.notNull().unique())
    .addColumn('password_hash', 'text', (column) => column.notNull())
    .addColumn('role', 'text', (column) => column.notNull())
    .addColumn('token_generation', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('updated_at', 'text', (column) => column.notNull())
    .execute()
}

async function createRevokedTokensTable(db: Database): Promise<void> {
  await db.schema
    .createTable('revoked_tokens')
    .addColumn('token_id', 'text', (column) => column.primaryKey())
    .addColumn('expires_at', 'text', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('revoked_tokens_expires_at').on('revoked_tokens').column('expires_at').execute()
}

async function createFeedbackTable(db: Database): Promise<void> {
  await db.schema
    .createTable('feedback')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('user_id', 'text', (column) => column.references('users.id').onDelete('set null'))
    .addColumn('prediction_id', 'text')
    .addColumn('rating', 'text')
    .addColumn('text', 'text')
    .addColumn('correction', 'text')
    .addColumn('created_at', 'text', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('feedback_newest').on('feedback').columns(['created_at', 'id']).execute()
  await db.schema.createIndex('feedback_user_id').on('feedback').column('user_id').execute()
}
