import type { TrainableModel } from '../engine/train/open-trainable.ts'
import type { TrainParameters } from '../engine/train/protocol.ts'
import { AppError } from '../errors.ts'
import type { Database } from '../storage/tables.ts'
import {
  type BaseModel,
  countAdapterNumbers,
  type Disks,
  diskBytes,
  refuseAsReplay,
  refuseFullDisk,
  refuseUnfitting,
  refuseUntrainable,
} from './check-run.ts'
import { usualEpochs, type WantedParameters } from './run-parameters.ts'
import type { LearnedDataset, LearnedDatasets } from './trainer.ts'

export type NewRun = Readonly<{
  /** Undefined: made of the dataset's. */
  name: string | undefined
  /** Undefined: the selected model. */
  model: string | undefined
  /** As `LearnedDatasets.get` reads it. */
  dataset: string | undefined
  /** Undefined: the text that comes with the program. */
  replayDataset: string | undefined
  parameters: WantedParameters
  createdBy: string | undefined
}>

/** What a run would be, as far as it can be told before the examples are read. */
export type PlannedRun = Readonly<{
  name: string
  model: string
  trainable: TrainableModel
  dataset: LearnedDataset
  replayDatasetId: string | undefined
  parameters: TrainParameters
  trainableParameters: number
  /** Fewer where examples are too long, or share rows. */
  mostSteps: number
  /** That it needs on the disk while it runs. */
  diskBytes: number
}>

export type PlanParts = Disks &
  Readonly<{
    db: Database
    datasets: LearnedDatasets
    /** An installed model by its name; undefined: the selected one. Throws `not_found`, `invalid`, `unavailable` (none is selected). */
    findBase: (name: string | undefined) => Promise<BaseModel>
    /** Throws `invalid` for a file of a model that the trainer could not compute. */
    inspectBase: (path: string) => Promise<TrainableModel>
    /** Throws `invalid` for a name that no model can have, `conflict` for that of an installed one, `unavailable` where no model can be written. */
    checkName: (name: string) => Promise<void>
  }>

/** Checks that a run can be done. Throws `invalid`, `not_found`, `conflict` (its name is taken), `storage_full`. */
export async function planRun(
  parts: PlanParts,
  { name, model, dataset: wanted, replayDataset, parameters: wantedParameters }: NewRun,
): Promise<PlannedRun> {
  const base = await parts.findBase(model)
  refuseUntrainable(base)
  const trainable = await parts.inspectBase(base.path)
  const dataset = await parts.datasets.get(wanted)
  const parameters = { ...wantedParameters, epochs: wantedParameters.epochs ?? usualEpochs(dataset.trainRows, wantedParameters) }
  refuseUnfitting(dataset, parameters)
  const replayed = replayDataset === undefined ? undefined : await parts.datasets.get(replayDataset)
  if (replayed !== undefined) refuseAsReplay(replayed)
  const trainableParameters = countAdapterNumbers(base, parameters)
  await refuseFullDisk(parts, trainableParameters)
  if (name !== undefined) await refuseTaken(parts, name)
  return {
    name: name ?? (await freeName(parts, dataset)),
    model: base.name,
    trainable,
    dataset,
    replayDatasetId: replayed?.id,
    parameters,
    trainableParameters,
    mostSteps: parameters.epochs * Math.ceil(dataset.trainRows / (parameters.batchSize * parameters.accumulation)),
    diskBytes: diskBytes(trainableParameters),
  }
}

async function refuseTaken({ db, checkName }: PlanParts, name: string): Promise<void> {
  await checkName(name)
  const taken = await db.selectFrom('trainingRuns').select('id').where('name', '=', name).executeTakeFirst()
  if (taken !== undefined)
    throw new AppError('conflict', `There is a training run "${name}" already. Choose another name, or delete it first.`)
}

async function freeName(parts: PlanParts, dataset: LearnedDataset): Promise<string> {
  const stem = dataset.name
    .replace(/[^A-Za-z0-9._-]+/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 60)
  for (let number = 1; ; number += 1) {
    const name = `${stem || 'run'}-${number}`
    if (await isFree(parts, name)) return name
  }
}

function isFree(parts: PlanParts, name: string): Promise<boolean> {
  return refuseTaken(parts, name).then(
    () => true,
    (error: unknown) => {
      if (error instanceof AppError && error.code === 'conflict') return false
      throw error
    },
  )
}

type NewRow = Readonly<{ id: string; queuedAt: string; createdAt: string; createdBy: string | undefined }>

/** Puts a planned run into the queue. Throws `conflict` where its name was taken meanwhile. */
export async function insertRun(
  db: Database,
  planned: PlannedRun,
  { id, queuedAt, createdAt, createdBy }: NewRow,
): Promise<void> {
  const { numInsertedOrUpdatedRows } = await db
    .insertInto('trainingRuns')
    .values({
      ...emptyRun,
      id,
      name: planned.name,
      baseModel: planned.model,
      datasetId: planned.dataset.id,
      replayDatasetId: planned.replayDatasetId ?? null,
      parameters: JSON.stringify(planned.parameters),
      queuedAt,
      createdBy: createdBy ?? null,
      createdAt,
      updatedAt: createdAt,
    })
    .onConflict((conflict) => conflict.column('name').doNothing())
    .executeTakeFirstOrThrow()
  if (numInsertedOrUpdatedRows === 0n)
    throw new AppError('conflict', `There is a training run "${planned.name}" already. Choose another name.`)
}

const emptyRun = {
  state: 'queued',
  plan: null,
  step: 0,
  checkpointStep: null,
  bestStep: null,
  heldOutLoss: null,
  adapter: null,
  errorCode: null,
  errorMessage: null,
  trainedMs: 0,
  yieldedMs: 0,
  residentBytes: null,
  startedAt: null,
  endedAt: null,
} as const
