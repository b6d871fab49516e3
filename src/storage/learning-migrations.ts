import { sql } from 'kysely'
import type { Database } from './tables.ts'

export async function createPredictionsTable(db: Database): Promise<void> {
  await db.schema
    .createTable('predictions')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('owner_id', 'text', (column) => column.references('users.id').onDelete('cascade'))
    .addColumn('owner_key', 'text')
    .addColumn('prompt', 'text', (column) => column.notNull())
    .addColumn('excerpt', 'text', (column) => column.notNull())
    .addColumn('choices', 'text', (column) => column.notNull())
    .addColumn('provider', 'text', (column) => column.notNull())
    .addColumn('model', 'text', (column) => column.notNull())
    .addColumn('ran_on', 'text', (column) => column.notNull())
    .addColumn('rollout_id', 'text')
    .addColumn('parameters', 'text', (column) => column.notNull())
    .addColumn('prompt_tokens', 'integer')
    .addColumn('completion_tokens', 'integer')
    .addColumn('timings', 'text')
    .addColumn('created_at', 'text', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('predictions_newest').on('predictions').columns(['created_at', 'id']).execute()
  await db.schema.createIndex('predictions_owner').on('predictions').columns(['owner_id', 'created_at']).execute()
  await db.schema.createIndex('predictions_owner_key').on('predictions').columns(['owner_key', 'created_at']).execute()
  await db.schema.createIndex('predictions_rollout').on('predictions').column('rollout_id').execute()
  await db.schema
    .alterTable('users')
    .addColumn('keeps_predictions', 'integer', (column) => column.notNull().defaultTo(1))
    .execute()
}

export async function extendFeedback(db: Database): Promise<void> {
  await db.schema.alterTable('feedback').addColumn('rejected_prediction_id', 'text').execute()
  await db.schema
    .alterTable('feedback')
    .addColumn('tags', 'text', (column) => column.notNull().defaultTo('[]'))
    .execute()
  await db.schema.createIndex('feedback_prediction').on('feedback').column('prediction_id').execute()
  await db.schema.createIndex('feedback_rejected_prediction').on('feedback').column('rejected_prediction_id').execute()
}

export async function createDatasetTables(db: Database): Promise<void> {
  await db.schema
    .createTable('datasets')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('source', 'text', (column) => column.notNull())
    .addColumn('origin', 'text', (column) => column.notNull())
    .addColumn('train_rows', 'integer', (column) => column.notNull())
    .addColumn('held_out_rows', 'integer', (column) => column.notNull())
    .addColumn('sha256', 'text', (column) => column.notNull())
    .addColumn('report', 'text', (column) => column.notNull())
    .addColumn('created_by', 'text', (column) => column.references('users.id').onDelete('set null'))
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addUniqueConstraint('datasets_version', ['name', 'version'])
    .execute()
  await db.schema
    .createTable('dataset_rows')
    // No reference: the rows are written before the dataset is there, and removed after it has gone, some at a time.
    .addColumn('dataset_id', 'text', (column) => column.notNull())
    .addColumn('position', 'integer', (column) => column.notNull())
    .addColumn('split', 'text', (column) => column.notNull())
    .addColumn('conversation', 'text', (column) => column.notNull())
    // Before what is long, so that looking for flags does not read it.
    .addColumn('flags', 'text', (column) => column.notNull())
    .addColumn('example', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('dataset_rows_key', ['dataset_id', 'position'])
    .execute()
}

export async function createTrainingTables(db: Database): Promise<void> {
  await db.schema
    .createTable('training_runs')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('name', 'text', (column) => column.notNull().unique())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('base_model', 'text', (column) => column.notNull())
    // A dataset that was learned from stays.
    .addColumn('dataset_id', 'text', (column) => column.notNull().references('datasets.id').onDelete('restrict'))
    .addColumn('replay_dataset_id', 'text', (column) => column.references('datasets.id').onDelete('restrict'))
    .addColumn('parameters', 'text', (column) => column.notNull())
    .addColumn('plan', 'text')
    .addColumn('step', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('checkpoint_step', 'integer')
    .addColumn('best_step', 'integer')
    .addColumn('held_out_loss', 'double precision')
    .addColumn('adapter', 'text')
    .addColumn('error_code', 'text')
    .addColumn('error_message', 'text')
    .addColumn('trained_ms', 'double precision', (column) => column.notNull().defaultTo(0))
    .addColumn('yielded_ms', 'double precision', (column) => column.notNull().defaultTo(0))
    .addColumn('resident_bytes', 'bigint')
    .addColumn('queued_at', 'text')
    .addColumn('created_by', 'text', (column) => column.references('users.id').onDelete('set null'))
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('started_at', 'text')
    .addColumn('ended_at', 'text')
    .addColumn('updated_at', 'text', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('training_runs_newest').on('training_runs').columns(['created_at', 'id']).execute()
  await createTrainingMetricTables(db)
}

async function createTrainingMetricTables(db: Database): Promise<void> {
  await db.schema
    .createTable('training_steps')
    .addColumn('run_id', 'text', (column) => column.notNull().references('training_runs.id').onDelete('cascade'))
    .addColumn('step', 'integer', (column) => column.notNull())
    .addColumn('epoch', 'integer', (column) => column.notNull())
    .addColumn('loss', 'double precision', (column) => column.notNull())
    .addColumn('learning_rate', 'double precision', (column) => column.notNull())
    .addColumn('gradient_norm', 'double precision', (column) => column.notNull())
    .addColumn('tokens', 'integer', (column) => column.notNull())
    .addColumn('ms', 'double precision', (column) => column.notNull())
    .addPrimaryKeyConstraint('training_steps_key', ['run_id', 'step'])
    .execute()
  await db.schema
    .createTable('training_epochs')
    .addColumn('run_id', 'text', (column) => column.notNull().references('training_runs.id').onDelete('cascade'))
    .addColumn('epoch', 'integer', (column) => column.notNull())
    .addColumn('step', 'integer', (column) => column.notNull())
    .addColumn('train_loss', 'double precision', (column) => column.notNull())
    .addColumn('held_out_loss', 'double precision')
    .addColumn('preference_accuracy', 'double precision')
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addPrimaryKeyConstraint('training_epochs_key', ['run_id', 'epoch'])
    .execute()
}

export async function createEvaluationsTable(db: Database): Promise<void> {
  await db.schema
    .createTable('evaluations')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('kind', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('owner_id', 'text', (column) => column.references('users.id').onDelete('cascade'))
    .addColumn('baseline', 'text', (column) => column.notNull())
    .addColumn('candidate', 'text', (column) => column.notNull())
    .addColumn('dataset_id', 'text')
    .addColumn('run_id', 'text')
    .addColumn('request', 'text', (column) => column.notNull())
    .addColumn('report', 'text')
    .addColumn('passed', 'integer')
    .addColumn('error_code', 'text')
    .addColumn('error_message', 'text')
    .addColumn('created_by', 'text', (column) => column.references('users.id').onDelete('set null'))
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('ended_at', 'text')
    .execute()
  await db.schema.createIndex('evaluations_newest').on('evaluations').columns(['created_at', 'id']).execute()
  await db.schema.createIndex('evaluations_candidate').on('evaluations').columns(['candidate', 'created_at']).execute()
}

export async function createRolloutTables(db: Database): Promise<void> {
  await db.schema
    .createTable('rollouts')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('alias', 'text', (column) => column.notNull())
    .addColumn('state', 'text', (column) => column.notNull())
    .addColumn('is_active', 'integer', (column) => column.notNull())
    .addColumn('version', 'integer', (column) => column.notNull())
    .addColumn('arms', 'text', (column) => column.notNull())
    .addColumn('rule', 'text')
    .addColumn('created_by', 'text', (column) => column.references('users.id').onDelete('set null'))
    .addColumn('created_at', 'text', (column) => column.notNull())
    .addColumn('ended_at', 'text')
    .execute()
  await db.schema.createIndex('rollouts_newest').on('rollouts').columns(['created_at', 'id']).execute()
  await sql`create unique index rollouts_active on rollouts (alias) where is_active = 1`.execute(db)
  await db.schema
    .createTable('rollout_events')
    .addColumn('id', 'text', (column) => column.primaryKey())
    .addColumn('rollout_id', 'text', (column) => column.notNull().references('rollouts.id').onDelete('restrict'))
    .addColumn('actor', 'text', (column) => column.notNull())
    .addColumn('action', 'text', (column) => column.notNull())
    .addColumn('details', 'text', (column) => column.notNull())
    .addColumn('created_at', 'text', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('rollout_events_newest').on('rollout_events').columns(['created_at', 'id']).execute()
  await db.schema.createIndex('rollout_events_rollout').on('rollout_events').columns(['rollout_id', 'created_at']).execute()
}
