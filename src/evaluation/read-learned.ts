import type { TrainingExample } from '../engine/train/example.ts'
import { AppError } from '../errors.ts'
import { ifGiven } from '../storage/if-given.ts'
import type { Database } from '../storage/tables.ts'
import type { HeldOut } from './evaluation.ts'
import type { CompletedRun } from './make-plan.ts'

/** By id or name. Throws `not_found`, and `conflict` for a run that has not come to an adapter. */
export async function getCompletedRun(db: Database, name: string): Promise<CompletedRun> {
  const run = await db
    .selectFrom('trainingRuns')
    .select(['id', 'name', 'state', 'baseModel', 'adapter', 'datasetId'])
    .where(({ eb, or }) => or([eb('id', '=', name), eb('name', '=', name)]))
    .executeTakeFirst()
  if (run === undefined) throw new AppError('not_found', `There is no training run "${name}".`)
  if (run.state !== 'completed' || run.adapter === null)
    throw new AppError('conflict', `The run "${run.name}" has no adapter to evaluate: it is ${run.state}.`)
  return { id: run.id, model: `${run.baseModel}+${run.adapter}`, datasetId: run.datasetId }
}

/** The id of a dataset by its id, NAME (the newest version) or NAME:VERSION. Throws `not_found`. */
export async function getDatasetId(db: Database, reference: string): Promise<string> {
  const [, name = reference, version] = /^(.*):(\d{1,9})$/.exec(reference) ?? []
  const datasets = db.selectFrom('datasets').select('id')
  const found =
    (await datasets.where('id', '=', reference).executeTakeFirst()) ??
    (await datasets
      .where('name', '=', name)
      .$call(ifGiven(version, (query, version) => query.where('version', '=', Number(version))))
      .orderBy('version', 'desc')
      .executeTakeFirst())
  if (found === undefined) throw new AppError('not_found', `There is no dataset "${reference}".`)
  return found.id
}

/** Throws `not_found`: a dataset may have been removed meanwhile. */
export async function readHeldOut(db: Database, datasetId: string, most: number): Promise<HeldOut> {
  const dataset = await db
    .selectFrom('datasets')
    .select(['id', 'name', 'version', 'heldOutRows'])
    .where('id', '=', datasetId)
    .executeTakeFirst()
  if (dataset === undefined) throw new AppError('not_found', `There is no dataset "${datasetId}".`)
  const rows = await db
    .selectFrom('datasetRows')
    .select('example')
    .where('datasetId', '=', datasetId)
    .where('split', '=', 'held-out')
    .orderBy('position')
    .limit(most)
    .execute()
  const { heldOutRows, ...named } = dataset
  // Whoever wrote the row has checked what is in it.
  const examples = rows.map(({ example }): TrainingExample => JSON.parse(example))
  return { dataset: named, count: heldOutRows, examples }
}
