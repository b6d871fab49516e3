import { sql } from 'kysely'
import { AppError } from '../errors.ts'
import { createApiKeysTable, createSessionsTable, createUsageTable } from './access-migrations.ts'
import { createAdminTables } from './admin-migrations.ts'
import { addConversationUse, createConversationTables } from './conversation-migrations.ts'
import { isPostgres } from './dialect.ts'
import { createInstanceTables, createModelJobsTable } from './instance-migrations.ts'
import {
  createDatasetTables,
  createEvaluationsTable,
  createPredictionsTable,
  createRolloutTables,
  createTrainingTables,
  extendFeedback,
} from './learning-migrations.ts'
import { addCollectionOfVectors, addWaitingVectors, createMetadataFunction, createPassagesWords } from './postgres-passages.ts'
import { createVectorExtension } from './postgres-search.ts'
import type { Database } from './tables.ts'

export type Migration = Readonly<{ id: string; up: (db: Database) => Promise<void> }>

/** Append only: never edit one that has shipped. What only SQLite or only PostgreSQL understands stands beside its counterpart. */
export const migrations: readonly Migration[] = [
  { id: '001-users', up: createUsersTable },
  { id: '002-revoked-tokens', up: createRevokedTokensTable },
  { id: '003-feedback', up: createFeedbackTable },
  { id: '004-collections', up: createCollectionTables },
  { id: '005-passages-search', up: createPassagesSearch },
  { id: '006-passages-collection', up: createPassagesCollectionIndex },
  { id: '007-api-keys', up: createApiKeysTable },
  { id: '008-usage', up: createUsageTable },
  { id: '009-egress', up: createEgressTable },
  { id: '010-responses', up: createResponsesTable },
  { id: '011-predictions', up: createPredictionsTable },
  { id: '012-feedback-pairs', up: extendFeedback },
  { id: '013-datasets', up: createDatasetTables },
  { id: '014-training', up: createTrainingTables },
  { id: '015-evaluations', up: createEvaluationsTable },
  { id: '016-rollouts', up: createRolloutTables },
  { id: '017-conversations', up: createConversationTables },
  { id: '018-admin', up: createAdminTables },
  { id: '019-conversation-use', up: addConversationUse },
  { id: '020-instances', up: createInstanceTables },
  { id: '021-model-jobs', up: createModelJobsTable },
  { id: '022-waiting-vectors', up: addWaitingVectors },
  { id: '023-sessions', up: createSessionsTable },
]

/**
 * Brings the tables up to date. Each migration runs once, in a transaction with the note that it ran.
 * Throws `unavailable` when a newer simpleIA has already gone further.
 */
export async function migrate(db: Database, now: () => number, list: readonly Migration[] = migrations): Promise<void> {
  // In a transaction, which has its turn: two processes may start at the same time.
  await db.transaction().execute(createMigrationsTable)
  await refuseNewerSchema(db, list)
  for (const migration of list) await runOnce(db, migration, now)
}

async function createMigrationsTable(db: Database): Promise<void> {
  await db.schema
    .createTable('schema_migrations')
    .ifNotExists()
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('applied_at', 'text', (column) => column.notNull())
    .execute()
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
  await addRowNumbers(db, 'feedback')
  await db.schema.createIndex('feedback_newest').on('feedback').columns(['created_at', 'id']).execute()
  await db.schema.createIndex('feedback_user_id').on('feedback').column('user_id').execute()
}

/** The tables whose rows SQLite numbers by itself, in `rowid`. */
export const numberedTables = ['feedback', 'responses'] as const

/** What tells the order of rows of one millisecond; SQLite has it by itself. */
async function addRowNumbers(db: Database, table: (typeof numberedTables)[number]): Promise<void> {
  if (isPostgres(db)) await sql`alter table ${sql.table(table)} add column rowid bigint generated always as identity`.execute(db)
}

async function createCollectionTables(db: Database): Promise<void> {
  await db.schema
    .createTable('collections')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('owner_id', 'text', (column) => column.references('users.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('is_shared', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('dimensions', 'integer', (column) => column.notNull())
    .addColumn('next_model', 'text')
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('updated_at', 'text', (column) => column.notNull())
    .execute()
  // Two rows without an owner would count as different in a plain unique index.
  await sql`create unique index collections_owner_name on collections (coalesce(owner_id, ''), name)`.execute(db)
  await db.schema
    .createTable('documents')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('collection_id', 'text', (column) => column.notNull().references('collections.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('source', 'text', (column) => column.notNull())
    .addColumn('media_type', 'text', (column) => column.notNull())
    .addColumn('sha256', 'text', (column) => column.notNull())
    .addColumn('size_bytes', 'integer', (column) => column.notNull())
    .addColumn('pages', 'integer')
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('updated_at', 'text', (column) => column.notNull())
    .addUniqueConstraint('documents_source', ['collection_id', 'source'])
    .execute()
  await createPassageTables(db)
}

async function createPassageTables(db: Database): Promise<void> {
  if (isPostgres(db)) await createVectorExtension(db)
  await db.schema
    .createTable('passages')
    // Never given twice, so that an index which still knows a deleted passage can't take another for it.
    .addColumn('id', 'integer', (column) => column.primaryKey().autoIncrement())
    .addColumn('collection_id', 'text', (column) => column.notNull().references('collections.id').onDelete('cascade'))
    .addColumn('item_id', 'text', (column) => column.notNull())
    .addColumn('document_id', 'text', (column) => column.references('documents.id').onDelete('cascade'))
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('text', 'text', (column) => column.notNull())
    .addColumn('metadata', 'text', (column) => column.notNull())
    .addColumn('page', 'integer')
    .addColumn('last_page', 'integer')
    .addColumn('section', 'text')
    .addColumn('start_offset', 'integer')
    .addColumn('end_offset', 'integer')
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addUniqueConstraint('passages_item', ['collection_id', 'item_id'])
    .execute()
  await db.schema.createIndex('passages_document').on('passages').columns(['document_id', 'position']).execute()
  await db.schema
    .createTable('vectors')
    .addColumn('passage_id', 'integer', (column) => column.notNull().references('passages.id').onDelete('cascade'))
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('vector', isPostgres(db) ? sql`vector` : 'blob', (column) => column.notNull())
    .addPrimaryKeyConstraint('vectors_key', ['passage_id', 'model'])
    .execute()
  if (!isPostgres(db)) return
  await addCollectionOfVectors(db)
  await createMetadataFunction(db)
}

/**
 * The words of passages, for BM25. The words are kept apart from the texts (an external content table of FTS5), and triggers keep
 * both in step in the same transaction. Accents make no difference: "accion" finds "acción".
 */
async function createPassagesSearch(db: Database): Promise<void> {
  if (isPostgres(db)) return createPassagesWords(db)
  const forget = `insert into passages_search(passages_search, rowid, section, text) values ('delete', old.id, old.section, old.text);`
  const learn = 'insert into passages_search(rowid, section, text) values (new.id, new.section, new.text);'
  const statements = [
    `create virtual table passages_search using fts5(section, text, content = 'passages', content_rowid = 'id',
      tokenize = 'unicode61 remove_diacritics 2')`,
    `create trigger passages_search_insert after insert on passages begin ${learn} end`,
    `create trigger passages_search_delete after delete on passages begin ${forget} end`,
    `create trigger passages_search_update after update of section, text on passages begin ${forget} ${learn} end`,
  ]
  for (const statement of statements) await sql.raw(statement).execute(db)
}

/** The passages of a collection in the order of their ids: this is how they are read in pieces. */
async function createPassagesCollectionIndex(db: Database): Promise<void> {
  await db.schema.createIndex('passages_collection').on('passages').columns(['collection_id', 'id']).execute()
}

async function createEgressTable(db: Database): Promise<void> {
  await db.schema
    .createTable('egress')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('started_at', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('purpose', 'text', (column) => column.notNull())
    .addColumn('requested_by', 'text')
    .addColumn('provider', 'text')
    .addColumn('model', 'text')
    .addColumn('hosts', 'text', (column) => column.notNull())
    .addColumn('requests', 'integer', (column) => column.notNull())
    .addColumn('status', 'integer')
    .addColumn('bytes_out', 'bigint', (column) => column.notNull())
    .addColumn('bytes_in', 'bigint', (column) => column.notNull())
    .addColumn('prompt_tokens', 'integer')
    .addColumn('completion_tokens', 'integer')
    .addColumn('cached_prompt_tokens', 'integer')
    .addColumn('cost_microdollars', 'bigint')
    .addColumn('duration_ms', 'bigint')
    .execute()
  await db.schema.createIndex('egress_newest').on('egress').columns(['started_at', 'id']).execute()
}

async function createResponsesTable(db: Database): Promise<void> {
  await db.schema
    .createTable('responses')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('owner_id', 'text', (column) => column.references('users.id').onDelete('cascade'))
    .addColumn('owner_key', 'text')
    .addColumn('previous_id', 'text')
    .addColumn('input', 'text', (column) => column.notNull())
    .addColumn('response', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .execute()
  await addRowNumbers(db, 'responses')
  await db.schema.createIndex('responses_owner_id').on('responses').column('owner_id').execute()
  await db.schema.createIndex('responses_created_at').on('responses').column('created_at').execute()
}
