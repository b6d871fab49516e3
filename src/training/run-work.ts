import { join } from 'node:path'
import { hasCheckpoint } from '../engine/train/checkpoint.ts'
import type { TrainEvent, TrainJob, TrainParameters } from '../engine/train/protocol.ts'
import { AppError } from '../errors.ts'
import type { BaseModel } from './check-run.ts'
import { type RecorderParts, recordRun } from './record-run.ts'
import { writeRunFiles } from './run-files.ts'
import type { RunRow } from './run-rows.ts'
import type { LearnedDatasets, StartTrainer } from './trainer.ts'
import { type Yielding, type YieldingParts, yieldToWork } from './yielding.ts'

/** What the process of a run may take of this machine. */
export type Machine = Pick<TrainJob, 'threads' | 'device' | 'memoryBytes'>

export type WorkParts = Readonly<{
  trainingDir: string
  datasets: Pick<LearnedDatasets, 'writeExamples'>
  /** General text that comes with the program: JSON lines of `TrainingExample`. */
  replayTextFile: string
  findBase: (name: string) => Promise<BaseModel>
  startTrainer: StartTrainer
  machine: () => Promise<Machine>
  /** Makes the adapter a model of this name. Throws `conflict`, `storage_full`. */
  installAdapter: (file: string, name: string) => Promise<void>
  yielding: YieldingParts
  recording: Pick<RecorderParts, 'db' | 'clock' | 'now' | 'gatherMs' | 'onSaved' | 'onForgotten'>
}>

export type WorkSignals = Readonly<{
  /** Has the run end with a checkpoint. */
  stop: AbortSignal
  /** Ends its process at once. */
  kill: AbortSignal
  onYielding: (isYielding: boolean) => void
}>

export type WorkEnd =
  | Readonly<{ type: 'completed'; adapter: string; bestStep: number; heldOutLoss: number | undefined }>
  | Readonly<{ type: 'stopped' }>

/**
 * Does the work of a run, from its files to its adapter among the models. What it tells is stored when this resolves or throws.
 * Throws what the run failed with, and `aborted`.
 */
export async function workOnRun(parts: WorkParts, run: RunRow, signals: WorkSignals): Promise<WorkEnd> {
  const job = await prepare(parts, run)
  if (signals.stop.aborted) return { type: 'stopped' }
  const end = await train(parts, run, job, signals)
  if (end.reason === 'stopped') return { type: 'stopped' }
  if (end.adapterFile === undefined) throw new AppError('internal', 'The training ended without an adapter.')
  await parts.installAdapter(end.adapterFile, run.name)
  return { type: 'completed', adapter: run.name, bestStep: end.bestStep, heldOutLoss: end.heldOutLoss }
}

async function prepare({ trainingDir, datasets, replayTextFile, findBase, machine }: WorkParts, run: RunRow): Promise<TrainJob> {
  const parameters: TrainParameters = JSON.parse(run.parameters)
  const base = await findBase(run.baseModel)
  const folder = join(trainingDir, run.id)
  if (await isElsewhere(trainingDir, run)) throw elsewhere(run, trainingDir)
  const replayed = run.replayDatasetId === null ? { file: replayTextFile } : { datasetId: run.replayDatasetId }
  const replay = parameters.replay > 0 ? replayed : undefined
  const files = await writeRunFiles(datasets, { folder, datasetId: run.datasetId, replay })
  const adapter = { name: run.name, baseModel: run.baseModel, run: run.id }
  return { modelPath: base.path, adapter, folder, ...files, parameters, ...(await machine()) }
}

/** Whether the run would go on from a checkpoint that is not in the folder of this process. */
export async function isElsewhere(trainingDir: string, run: Pick<RunRow, 'id' | 'checkpointStep'>): Promise<boolean> {
  return run.checkpointStep !== null && !(await hasCheckpoint(join(trainingDir, run.id)))
}

function elsewhere({ id, name, checkpointStep }: RunRow, trainingDir: string): AppError {
  return new AppError(
    'conflict',
    `The checkpoint of the run "${name}" (step ${checkpointStep}) is not in ${trainingDir}: it is on the disk of another replica, or was removed. ` +
      'Resume it when that replica is there and trains nothing else, or let all replicas share DATA_DIR. ' +
      `POST /training/runs/${id}/resume?from_start=true does without it.`,
  )
}

type TrainEnd = Extract<TrainEvent, { type: 'train-end' }>

async function train(parts: WorkParts, run: RunRow, job: TrainJob, { stop, kill, onYielding }: WorkSignals): Promise<TrainEnd> {
  const trainer = parts.startTrainer(job, kill)
  let yielding: Yielding | undefined
  const recorder = recordRun(run, { ...parts.recording, yieldedMs: () => yielding?.yieldedMs() ?? 0 })
  yielding = yieldToWork(parts.yielding, trainer, (isYielding) => {
    onYielding(isYielding)
    recorder.touch()
  })
  const end = () => {
    // Whoever is to write a checkpoint must not stand still.
    yielding?.end()
    trainer.stop()
  }
  stop.addEventListener('abort', end, { once: true })
  if (stop.aborted) end()
  try {
    for await (const event of trainer.events) {
      if (event.type === 'train-end') return event
      await recorder.record(event)
    }
    throw new AppError('internal', 'The training ended without saying how.')
  } finally {
    stop.removeEventListener('abort', end)
    yielding.end()
    await recorder.flush()
  }
}
