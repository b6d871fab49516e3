import { sql } from 'kysely'
import type { Database } from './tables.ts'

/** Many processes on one database: who they are, what each of them does, and what they tell each other. */
export async function createInstanceTables(db: Database): Promise<void> {
  await db.schema
    .createTable('instances')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('host', 'text', (column) => column.notNull())
    .addColumn('pid', 'integer', (column) => column.notNull())
    .addColumn('started_at', 'integer', (column) => column.notNull())
    .addColumn('seen_at', 'integer', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('shared_state')
    .addColumn('name', 'text', (column) => column.primaryKey())
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('value', 'text', (column) => column.notNull())
    .execute()
  await db.schema
    .createTable('re_embeddings')
    .addColumn('collection_id', 'text', (column) => column.primaryKey().references('collections.id').onDelete('cascade'))
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('done', 'integer', (column) => column.notNull())
    .addColumn('total', 'integer', (column) => column.notNull())
    .addColumn('truncated', 'integer', (column) => column.notNull())
    .addColumn('reason', 'text')
    .addColumn('instance_id', 'text')
    .execute()
  for (const table of ['messages', 'training_runs', 'evaluations'] as const) {
    // No reference: an instance goes, and what it has left is marked afterwards.
    await db.schema.alterTable(table).addColumn('instance_id', 'text').execute()
    await db.schema.alterTable(table).addColumn('wish', 'text').execute()
  }
  await db.schema.alterTable('egress').addColumn('instance_id', 'text').execute()
  await sql`create index egress_open on egress (id) where state = 'open'`.execute(db)
}

/** What makes models, and how far it and the evaluations are: for whoever asks, in whichever process. */
export async function createModelJobsTable(db: Database): Promise<void> {
  await db.schema
    .createTable('model_jobs')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('quantization', 'text')
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('progress', 'text')
    .addColumn('model', 'text')
    .addColumn('error_code', 'text')
    .addColumn('error_message', 'text')
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('ended_at', 'text')
    .addColumn('instance_id', 'text')
    .addColumn('wish', 'text')
    .execute()
  await db.schema.createIndex('model_jobs_newest').on('model_jobs').columns(['created_at', 'id']).execute()
  await db.schema.alterTable('evaluations').addColumn('progress', 'text').execute()
}
