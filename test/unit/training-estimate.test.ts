import { beforeEach, expect, test } from 'vitest'
import type { TrainableModel } from '../../src/engine/train/open-trainable.ts'
import type { TrainParameters } from '../../src/engine/train/protocol.ts'
import { defaultTrainParameters } from '../../src/engine/train/train-parameters.ts'
import type { Database } from '../../src/storage/tables.ts'
import { type EstimateParts, estimateRun } from '../../src/training/estimate-run.ts'
import { openTrainingWorld, shape } from '../training-world.ts'

const million = 1e6
const model: TrainableModel = { shape, weights: 270 * million }
const characters = 400
let db: Database

beforeEach(async () => {
  db = (await openTrainingWorld()).db
})

function estimate(parameters: Partial<TrainParameters> = {}, parts: Partial<EstimateParts> = {}) {
  const machine = async () => ({ threads: 2, device: 'cpu' as const, memoryBytes: 1e9 })
  const all = { db, machine, sampleLengths: async () => [characters, characters], ...parts }
  const dataset = { id: 'dataset-facts', trainRows: 80 }
  return estimateRun(all, { model, modelName: 'base', dataset, parameters: { ...defaultTrainParameters, ...parameters } })
}

/** A run that was as fast as that, with its steps. */
async function addRun(id: string, { tokens, ms, method = 'sft' }: Readonly<{ tokens: number; ms: number; method?: string }>) {
  const run = { id, name: id, state: 'completed', baseModel: 'base', datasetId: 'dataset-facts', replayDatasetId: null } as const
  const none = { plan: null, checkpointStep: null, bestStep: null, heldOutLoss: null, adapter: null, errorCode: null } as const
  const more = { errorMessage: null, trainedMs: 0, yieldedMs: 0, residentBytes: null, startedAt: null, endedAt: null } as const
  const at = '2026-01-01T00:00:00.000Z'
  const times = { queuedAt: null, createdBy: null, createdAt: at, updatedAt: at }
  await db
    .insertInto('trainingRuns')
    .values({ ...run, ...none, ...more, ...times, parameters: JSON.stringify({ method }), step: 1 })
    .execute()
  const step = { runId: id, step: 1, epoch: 1, loss: 1, learningRate: 1, gradientNorm: 1, tokens, ms }
  await db.insertInto('trainingSteps').values(step).execute()
}

test('without earlier runs the time is told by the number of parameters and threads', async () => {
  const told = await estimate({ epochs: 3, replay: 0.25 })
  const tokens = 80 * (characters / 4) * 1.25
  expect(told).toMatchObject({ tokens, secondsBy: 'parameters', unknown: undefined })
  expect(told.seconds).toBeCloseTo((3 * tokens) / ((2 * 4e10) / model.weights))
})

test('earlier runs of the model by the same method tell the time', async () => {
  await addRun('one', { tokens: 1000, ms: 1000 })
  await addRun('two', { tokens: 1000, ms: 3000 })
  await addRun('other', { tokens: 1, ms: 1e6, method: 'dpo' })
  const told = await estimate({ epochs: 2, replay: 0 })
  expect(told).toMatchObject({ secondsBy: 'earlier-runs', seconds: (2 * 80 * 100) / 500 })
})

test('memory grows with the batch and with the length of the examples', async () => {
  const { memoryBytes: usual = 0 } = await estimate()
  const { memoryBytes: larger = 0 } = await estimate({ batchSize: 16 })
  const { memoryBytes: longer = 0 } = await estimate({}, { sampleLengths: async () => [4 * characters] })
  expect(usual).toBeGreaterThan(4 * model.weights)
  expect(Number.isInteger(usual)).toBe(true)
  expect(larger).toBeGreaterThan(usual)
  expect(longer).toBeGreaterThan(usual)
})

test('what is too long counts for nothing, and where all is, it says why nothing is told', async () => {
  const sampleLengths = async () => [characters, 1e6]
  expect(await estimate({ replay: 0 }, { sampleLengths })).toMatchObject({ tokens: 40 * 100 })
  expect(await estimate({}, { sampleLengths: async () => [1e6] })).toMatchObject({
    tokens: undefined,
    memoryBytes: undefined,
    seconds: undefined,
    unknown: expect.stringContaining('max_length'),
  })
})

test('on a GPU the time is told only after a first run, and memory never', async () => {
  const machine = async () => ({ threads: 2, device: 'cuda' as const, memoryBytes: 1e9 })
  expect(await estimate({}, { machine })).toMatchObject({ seconds: undefined, unknown: expect.stringContaining('GPU') })
  await addRun('one', { tokens: 1000, ms: 1000 })
  expect(await estimate({}, { machine })).toMatchObject({ secondsBy: 'earlier-runs', memoryBytes: undefined })
})
