import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate } from 'node:timers/promises'
import { onTestFinished } from 'vitest'
import { createDatasets } from '../src/datasets/datasets.ts'
import { createActivity } from '../src/engine/activity.ts'
import { toDiskError } from '../src/engine/disk.ts'
import type { ModelShape } from '../src/engine/train/model-shape.ts'
import { AppError } from '../src/errors.ts'
import { openStorage } from '../src/storage/open-storage.ts'
import type { Database } from '../src/storage/tables.ts'
import type { BaseModel } from '../src/training/check-run.ts'
import type { NewRun } from '../src/training/create-run.ts'
import { toParameters } from '../src/training/run-parameters.ts'
import { createTrainingRuns } from '../src/training/runs.ts'
import type { LearnedDataset } from '../src/training/trainer.ts'
import { toLearned } from '../src/training-part.ts'
import { createFakeClock } from './fake-clock.ts'
import { loneInstance } from './lone-instance.ts'
import { databaseAt } from './postgres/database-at.ts'
import { scriptedTrainers } from './trainer.ts'

const facts: BaseModel['facts'] = {
  kind: 'chat',
  architecture: 'gemma3',
  layers: 2,
  embeddingLength: 64,
  feedForwardLength: 128,
  heads: 4,
  headsKv: 1,
  keyLength: 16,
  valueLength: 16,
}

/** Of a tiny model. */
export const shape: ModelShape = {
  architecture: 'gemma3',
  width: 64,
  feedForward: 128,
  vocabulary: 1000,
  heads: 4,
  keyValueHeads: 1,
  headSize: 16,
  epsilon: 1e-6,
  embeddingScale: 8,
  attentionScale: 0.25,
  activation: 'gelu',
  hasHeadNorms: true,
  hasPostNorms: true,
  isInterleaved: false,
  layers: [
    { rotary: 'local', isWindowed: true },
    { rotary: 'global', isWindowed: false },
  ],
  window: 512,
  rotary: { global: { base: 10_000, scale: 1 }, local: { base: 10_000, scale: 1 } },
}

const usual = { epochs: 3, batchSize: 4, learningRate: 2e-4 }

/** Stores a dataset whose examples say which split they are in. */
export async function addDataset(db: Database, more: Partial<LearnedDataset> = {}): Promise<LearnedDataset> {
  const dataset = {
    id: `dataset-${more.name ?? 'facts'}`,
    name: 'facts',
    version: 1,
    kind: 'chat',
    trainRows: 4,
    heldOutRows: 1,
    ...more,
  } as const
  const stored = { ...dataset, source: 'upload', origin: '{}', sha256: '', report: '{}', createdBy: null } as const
  await db
    .insertInto('datasets')
    .values({ ...stored, createdAt: '2026-01-01T00:00:00.000Z' })
    .execute()
  const splits = [...Array(dataset.trainRows).fill('train'), ...Array(dataset.heldOutRows).fill('held-out')]
  for (const [position, split] of splits.entries()) {
    const example = JSON.stringify({ type: 'text', text: split })
    const row = { datasetId: dataset.id, position, split, conversation: String(position), example, flags: '[]' }
    await db.insertInto('datasetRows').values(row).execute()
  }
  return dataset
}

export type WorldOptions = Readonly<{ freeBytes?: number; gatherMs?: number; base?: Partial<BaseModel['facts']> }>

/** Training runs on a real database, whose processes do what the test says. `restart` begins the service again, as after a crash. */
export async function openTrainingWorld({ freeBytes = 1e12, gatherMs = 0, base = {} }: WorldOptions = {}) {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-training-'))
  const [trainingDir, modelsDir] = [join(folder, 'training'), join(folder, 'models')]
  await mkdir(modelsDir)
  const replayTextFile = join(folder, 'replay.jsonl')
  await writeFile(replayTextFile, '{"type":"text","text":"general"}\n')
  const clock = createFakeClock()
  const activity = createActivity(clock.now)
  const storage = await openStorage({ url: await databaseAt(join(folder, 'simpleia.db')) })
  const { db } = storage
  const dataset = await addDataset(db)
  const datasets = createDatasets({
    db,
    now: Date.now,
    read: () => {
      throw new Error('Nothing is to be read.')
    },
  })
  const { start, trainers } = scriptedTrainers()
  let ids = 0
  let ms = Date.UTC(2026, 0, 1)
  const now = () => {
    ms += 1
    return ms
  }
  const open = (instanceId = 'one', its: Readonly<{ trainingDir?: string; isAlone?: boolean }> = {}) =>
    createTrainingRuns({
      db,
      instances: { ...loneInstance(instanceId), isAlone: () => its.isAlone ?? true },
      datasets: toLearned(datasets),
      trainingDir: its.trainingDir ?? trainingDir,
      modelsDir,
      replayTextFile,
      startTrainer: start,
      log: { error: () => {} },
      now,
      findBase: async (name = 'base') => ({ name, path: `/models/${name}.gguf`, facts: { ...facts, ...base } }),
      inspectBase: async () => ({ shape, weights: 1e6 }),
      async checkName(name) {
        if ((await readdir(modelsDir)).includes(`${name}.gguf`)) throw new AppError('conflict', 'taken')
      },
      installAdapter: (file, name) =>
        copyFile(file, join(modelsDir, `${name}.gguf`)).catch((error: unknown) => {
          throw toDiskError(error, modelsDir)
        }),
      machine: async () => ({ threads: 2, device: 'cpu', memoryBytes: 1e9 }),
      freeBytes: async () => freeBytes,
      createId: () => `run-${ids++}`,
      yielding: { activity, clock, calmMs: 300 },
      gatherMs,
      answerWaitMs: 5000,
      stopGraceMs: 20_000,
    })
  const endAll = () => {
    for (const trainer of trainers) trainer.fail(new AppError('aborted', 'The test is over.'))
  }
  let runs = await open()
  let isClosed = false
  onTestFinished(async () => {
    // What hangs in a script would hold up the end.
    endAll()
    if (!isClosed) await runs.close()
    await storage.close()
    await rm(folder, { recursive: true })
  })
  const wanted = (more: Partial<NewRun> = {}): NewRun => ({
    name: undefined,
    model: undefined,
    dataset: undefined,
    replayDataset: undefined,
    parameters: toParameters({}, usual),
    createdBy: undefined,
    ...more,
  })
  return {
    db,
    dataset,
    clock,
    activity,
    trainers,
    trainingDir,
    /** Has time go by. */
    pass(more: number) {
      ms += more
    },
    runs: () => runs,
    create: (more?: Partial<NewRun>) => runs.create(wanted(more)),
    stateOf: async (id: string) => (await runs.get(id)).row.state,
    models: () => readdir(modelsDir),
    folders: async () => (await readdir(trainingDir)).sort(),
    /** Resolves once there are so many processes; gives the last of them. */
    async trainer(count: number) {
      while (trainers.length < count) await setImmediate()
      const last = trainers[count - 1]
      if (last === undefined) throw new Error('There is no such process.')
      return last
    },
    /** Writes what an adapter would be, for the end of a process. */
    async adapterOf(trainer: Readonly<{ job: { folder: string } }>) {
      const file = join(trainer.job.folder, 'adapter.gguf')
      await writeFile(file, 'GGUF adapter')
      return file
    },
    /** Another process of the service, on a machine of that name; its processes are the test's, too. */
    async openBeside(instanceId: string, host: string, { hasOwnDisk = false } = {}) {
      for (const [id, on] of [
        ['one', 'this'],
        [instanceId, host],
      ] as const)
        await db
          .insertInto('instances')
          .values({ id, host: on, pid: 1, startedAt: 0, seenAt: 0 })
          .onConflict((conflict) => conflict.column('id').doNothing())
          .execute()
      const beside = await open(instanceId, hasOwnDisk ? { trainingDir: join(folder, instanceId), isAlone: false } : {})
      onTestFinished(() => {
        endAll()
        return beside.close()
      })
      return beside
    },
    wanted,
    /** As after a crash: nobody had the time to say anything. */
    async restart() {
      runs = await open()
    },
    async close() {
      isClosed = true
      await runs.close()
    },
  }
}

/** Waits until what is read is so. */
export async function until(isSo: () => Promise<boolean> | boolean): Promise<void> {
  while (!(await isSo())) await setImmediate()
}
