import { randomUUID } from 'node:crypto'
import { writeFile } from 'node:fs/promises'
import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import type { FastifyPluginAsync } from 'fastify'
import { openToKeys } from './auth/key-scopes.ts'
import type { Closer } from './closer.ts'
import type { Config } from './config.ts'
import type { Datasets } from './datasets/datasets.ts'
import type { Activity } from './engine/activity.ts'
import type { Clock } from './engine/cloud/clock.ts'
import { discard, freeBytes, toDiskError } from './engine/disk.ts'
import type { ModelHost } from './engine/provider.ts'
import { inspectTrainable } from './engine/train/open-trainable.ts'
import { runTraining, spawnTrainer } from './engine/train/train-process.ts'
import { AppError } from './errors.ts'
import type { Instances } from './instances/instances.ts'
import { logChild } from './log-child.ts'
import type { Metrics } from './metrics/metrics.ts'
import { installAdapter } from './models/install-adapter.ts'
import { readModelKind } from './models/model-kind.ts'
import { newModelFile } from './models/quantize-files.ts'
import { createModelRegistry } from './models/registry.ts'
import { partOf } from './models/unfinished.ts'
import { traceTraining } from './observe/observe-training.ts'
import type { Tracing } from './observe/tracing.ts'
import type { Database } from './storage/tables.ts'
import type { BaseModel } from './training/check-run.ts'
import { trainingRoutes } from './training/routes.ts'
import type { Machine } from './training/run-work.ts'
import { createTrainingRuns, type RunsParts, type TrainingRuns } from './training/runs.ts'
import type { LearnedDatasets, StartTrainer } from './training/trainer.ts'

export type TrainingParts = Readonly<{
  host: ModelHost
  db: Database
  instances: Instances
  datasets: Pick<Datasets, 'get' | 'list' | 'sampleLengths' | 'writeExamples'>
  startTrainer?: StartTrainer
  activity: Activity
  /** The one of the activity. */
  clock: Clock
  metrics: Pick<Metrics, 'watchTraining'>
  tracing: Tracing
  log: RunsParts['log']
  /** Milliseconds since 1970. */
  now: () => number
}>

export type Training = Readonly<{ runs: TrainingRuns; admin: readonly FastifyPluginAsync[] }>

/** How long no model must have worked before training goes on: requests often come one after the other. */
const calmMs = 300
/** What comes within this time is stored, and told, together. */
const gatherMs = 500
const answerWaitMs = 5000
const stopGraceMs = 20_000

const replayTextFile = fileURLToPath(new URL('./training/replay-text.jsonl', import.meta.url))

/** The training of installed models. A part of the composition root. */
export async function openTraining(config: Config, parts: TrainingParts, closer: Closer): Promise<Training> {
  const { host, db, instances, datasets, startTrainer = startTrainerProcess, activity, clock, metrics, tracing, log, now } = parts
  const { modelsDir } = config
  const runs = closer.use(
    await createTrainingRuns({
      db,
      instances,
      datasets: toLearned(datasets),
      startTrainer: traceTraining(startTrainer, tracing),
      log,
      now,
      modelsDir,
      trainingDir: join(config.dataDir, 'training'),
      replayTextFile,
      findBase: (name) => findBase(config, host, name),
      inspectBase: inspectTrainable,
      checkName: (name) => checkName(modelsDir, name),
      installAdapter: (file, name) => installAdapter({ modelsDir, now, wait: (ms) => wait(ms) }, file, name),
      machine: async () => machineOf(config, host),
      freeBytes,
      createId: randomUUID,
      yielding: { activity, clock, calmMs: Math.max(calmMs, config.trainOnlyWhenIdleSeconds * 1000) },
      gatherMs,
      answerWaitMs,
      stopGraceMs,
    }),
  )
  instances.onLook(runs.look, 'Training runs could not be looked at')
  metrics.watchTraining(runs.numbers)
  const usual = { epochs: config.numTrainEpochs, batchSize: config.trainBatchSize, learningRate: config.learningRate }
  return { runs, admin: [openToKeys('admin', [trainingRoutes({ runs, db, usual }).admin])] }
}

/** Datasets as training asks for them: without a name, the newest. */
export function toLearned({ get, list, sampleLengths, writeExamples }: TrainingParts['datasets']): LearnedDatasets {
  return {
    async get(name) {
      const found = name === undefined ? (await list({ limit: 1 })).items[0] : await get(name)
      if (found === undefined)
        throw new AppError(
          'not_found',
          'There is no dataset yet. Make one first: POST /datasets or "./run_llm.sh datasets add FILE".',
        )
      return found
    },
    sampleLengths,
    writeExamples,
  }
}

async function findBase({ modelsDir, modelAliases }: Config, host: ModelHost, given: string | undefined): Promise<BaseModel> {
  const name = given ?? host.selected()?.name
  if (name === undefined)
    throw new AppError('unavailable', 'No model of this machine is selected. Name the model that is to learn.')
  const target = modelAliases.get(name) ?? name
  const file = await createModelRegistry(modelsDir)
    .find(target)
    .catch((error: unknown) => refuseAdapted(error, target))
  return { name: file.name, path: file.path, facts: await readModelKind(file.path) }
}

/** A folder that cannot be written would be noticed only when all is learned. */
export async function checkName(modelsDir: string, name: string): Promise<void> {
  const probe = partOf(await newModelFile(modelsDir, name), 'adapter')
  try {
    await writeFile(probe, '')
  } catch (error) {
    throw toDiskError(error, modelsDir)
  } finally {
    await discard(probe)
  }
}

function refuseAdapted(error: unknown, name: string): never {
  if (!(error instanceof AppError) || error.code !== 'not_found' || !name.includes('+')) throw error
  const [expected, got] = ['a model by itself, such as the base of an adapter', JSON.stringify(name)]
  throw new AppError('invalid', `"model" must be ${expected}, but is ${got}. Merge the adapter into its base first.`, {
    details: [{ field: 'model', expected, got }],
  })
}

/** What is left free for everything else. */
const usedShare = 0.9

/** Of the memory that is free now: with MEMORY_BUDGET without what models may still take of it. */
function machineOf({ memoryBudget, threads, device }: Config, host: ModelHost): Machine {
  const free = usedShare * process.availableMemory()
  const promised = Math.max(0, (memoryBudget ?? 0) - host.status().residentBytes)
  return {
    threads: threads > 0 ? threads : availableParallelism(),
    device: device === 'cuda' ? 'cuda' : 'cpu',
    memoryBytes: Math.max(0, Math.floor(free - promised)),
  }
}

const startTrainerProcess: StartTrainer = (job, signal) => runTraining(job, { spawn: () => spawnTrainer(logChild), signal })
