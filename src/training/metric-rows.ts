import type { TrainingEpochsTable, TrainingStepsTable } from '../storage/learning-tables.ts'
import type { Database } from '../storage/tables.ts'
import { writeLightly } from '../storage/write-lightly.ts'

export type StepRow = Readonly<TrainingStepsTable>
export type EpochRow = Readonly<TrainingEpochsTable>

/** What is stored at once: each step and epoch takes the place of an earlier one with its number. */
export type MetricRows = Readonly<{ steps: readonly StepRow[]; epochs: readonly EpochRow[] }>

export async function saveMetrics(
  db: Database,
  { steps, epochs }: MetricRows,
  also: (db: Database) => Promise<void>,
): Promise<void> {
  await writeLightly(db, async (transaction) => {
    // SQLite allows some 32,000 values in a statement.
    for (let from = 0; from < steps.length; from += 1000) await saveSteps(transaction, steps.slice(from, from + 1000))
    if (epochs.length > 0) await saveEpochs(transaction, epochs)
    await also(transaction)
  })
}

async function saveSteps(db: Database, steps: readonly StepRow[]): Promise<void> {
  await db
    .insertInto('trainingSteps')
    .values([...steps])
    .onConflict((conflict) =>
      conflict.columns(['runId', 'step']).doUpdateSet(({ ref }) => ({
        epoch: ref('excluded.epoch'),
        loss: ref('excluded.loss'),
        learningRate: ref('excluded.learningRate'),
        gradientNorm: ref('excluded.gradientNorm'),
        tokens: ref('excluded.tokens'),
        ms: ref('excluded.ms'),
      })),
    )
    .execute()
}

async function saveEpochs(db: Database, epochs: readonly EpochRow[]): Promise<void> {
  await db
    .insertInto('trainingEpochs')
    .values([...epochs])
    .onConflict((conflict) =>
      conflict.columns(['runId', 'epoch']).doUpdateSet(({ ref }) => ({
        step: ref('excluded.step'),
        trainLoss: ref('excluded.trainLoss'),
        heldOutLoss: ref('excluded.heldOutLoss'),
        preferenceAccuracy: ref('excluded.preferenceAccuracy'),
        createdAt: ref('excluded.createdAt'),
      })),
    )
    .execute()
}

/** Forgets what came after a step. */
export async function forgetAfter(db: Database, runId: string, step: number): Promise<void> {
  await db.deleteFrom('trainingSteps').where('runId', '=', runId).where('step', '>', step).execute()
  await db.deleteFrom('trainingEpochs').where('runId', '=', runId).where('step', '>', step).execute()
}

/** In order; at most `limit` after `step`. */
export function listSteps(
  db: Database,
  runId: string,
  { after, limit }: Readonly<{ after: number; limit: number }>,
): Promise<StepRow[]> {
  const steps = db.selectFrom('trainingSteps').selectAll().where('runId', '=', runId).where('step', '>', after)
  return steps.orderBy('step').limit(limit).execute()
}

/** In order; at most `limit`, the newest ones. */
export async function listLastSteps(db: Database, runId: string, limit: number): Promise<StepRow[]> {
  const steps = db.selectFrom('trainingSteps').selectAll().where('runId', '=', runId)
  return (await steps.orderBy('step', 'desc').limit(limit).execute()).reverse()
}

export function listEpochs(db: Database, runId: string, after = 0): Promise<EpochRow[]> {
  const epochs = db.selectFrom('trainingEpochs').selectAll().where('runId', '=', runId).where('epoch', '>', after)
  return epochs.orderBy('epoch').execute()
}

export type Thinned = Readonly<{ every: number; steps: readonly StepRow[] }>

/** Every so-manieth step and the last: at most `maxPoints`, or as `every` says. */
export async function thinSteps(
  db: Database,
  runId: string,
  { every: given, maxPoints }: Readonly<{ every: number | undefined; maxPoints: number }>,
): Promise<Thinned> {
  const last = (await listLastSteps(db, runId, 1))[0]?.step ?? 0
  // One place is kept for the last step.
  const every = Math.max(given ?? 1, Math.ceil(last / Math.max(1, maxPoints - 1)), 1)
  const steps = await db
    .selectFrom('trainingSteps')
    .selectAll()
    .where('runId', '=', runId)
    .where(({ eb, or }) =>
      or([eb(eb('step', '%', every), '=', 0), eb('step', '=', last), ...(every > 1 ? [] : [eb('step', '>', 0)])]),
    )
    .orderBy('step')
    .execute()
  return { every, steps }
}
