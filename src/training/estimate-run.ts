import { estimateTrainerMemory } from '../engine/train/estimate-memory.ts'
import type { TrainableModel } from '../engine/train/open-trainable.ts'
import type { TrainParameters } from '../engine/train/protocol.ts'
import type { Database } from '../storage/tables.ts'
import { listLastSteps } from './metric-rows.ts'
import { tokensPerSecond } from './run-view.ts'
import type { Machine } from './run-work.ts'

/** What a run will take, told before its examples are read: undefined where it cannot be. */
export type RunEstimate = Readonly<{
  /** Of one epoch, replay included. */
  tokens: number | undefined
  memoryBytes: number | undefined
  /** That it may take now. */
  memoryAllowedBytes: number
  seconds: number | undefined
  /** What the time is told by: the speed of earlier runs of the model, or the number of its parameters. */
  secondsBy: 'earlier-runs' | 'parameters' | undefined
  /** Why something is not told. */
  unknown: string | undefined
}>

export type EstimateParts = Readonly<{
  db: Database
  machine: () => Promise<Machine>
  /** Characters of some examples of a dataset, as they are stored. */
  sampleLengths: (datasetId: string) => Promise<readonly number[]>
}>

export type EstimatedRun = Readonly<{
  model: TrainableModel
  modelName: string
  dataset: Readonly<{ id: string; trainRows: number }>
  parameters: TrainParameters
}>

/**
 * Of English and Spanish text with usual vocabularies. The names of fields that stand between the texts of a stored example count for
 * the tokens that a chat template puts there.
 */
const charactersOfToken = 4
/** Of the text that comes with the program, at most. */
const replayRowTokens = 80
/** Weights × tokens that one thread of a common CPU learns a second: measured with models of 0.3 to 1.5 billion weights. */
const speedOfThread = 4e10
/** DPO computes each token by two models. */
const costs = { sft: 1, dpo: 5 / 3 } as const

/** Reads some rows and some numbers of earlier runs. */
export async function estimateRun(parts: EstimateParts, run: EstimatedRun): Promise<RunEstimate> {
  const { dataset, parameters } = run
  const machine = await parts.machine()
  const sizes = sizesOf(await parts.sampleLengths(dataset.id), parameters)
  const nothing = { memoryAllowedBytes: machine.memoryBytes, memoryBytes: undefined, seconds: undefined, secondsBy: undefined }
  if (sizes === undefined)
    return { ...nothing, tokens: undefined, unknown: 'All examples that were looked at are longer than max_length.' }
  const tokens = Math.ceil(dataset.trainRows * sizes.share * sizes.mean * (1 + parameters.replay))
  // What the graph takes on a GPU is not known, nor how fast a GPU is.
  const isOnGpu = machine.device !== 'cpu'
  const earlier = await earlierSpeed(parts.db, run.modelName, parameters.method)
  const byParameters = (speedOfThread * machine.threads) / run.model.weights / costs[parameters.method]
  const speed = earlier ?? (isOnGpu ? undefined : byParameters)
  if (speed === undefined)
    return { ...nothing, tokens, unknown: 'On a GPU, memory is not told, and time only after a first run of the model.' }
  return {
    tokens,
    memoryAllowedBytes: machine.memoryBytes,
    memoryBytes: isOnGpu ? undefined : memoryOf(run, sizes),
    seconds: (tokens * parameters.epochs) / speed,
    secondsBy: earlier === undefined ? 'parameters' : 'earlier-runs',
    unknown: isOnGpu ? 'On a GPU, memory is not told.' : undefined,
  }
}

type Sizes = Readonly<{ mean: number; longest: number /** Of the examples that are not too long. */; share: number }>

function sizesOf(lengths: readonly number[], { maxLength }: TrainParameters): Sizes | undefined {
  const tokens = lengths.map((length) => Math.ceil(length / charactersOfToken))
  const kept = tokens.filter((count) => count <= maxLength)
  if (kept.length === 0) return undefined
  const sum = kept.reduce((total, count) => total + count, 0)
  return { mean: sum / kept.length, longest: Math.max(...kept), share: kept.length / tokens.length }
}

/** Of a batch of the longest examples that were seen. */
function memoryOf({ model, parameters }: EstimatedRun, { longest }: Sizes): number {
  const { rank, modules, dropout, batchSize, maxLength, packs, replay } = parameters
  const tokens = Math.ceil(batchSize * longest * (1 + replay)) + (replay > 0 ? replayRowTokens : 0)
  const length = packs ? Math.min(maxLength, tokens) : longest
  const rows = Math.ceil(tokens / length)
  return estimateTrainerMemory(model, { rank, modules, drops: dropout > 0, rows, length, targets: rows * length })
}

const earlierRuns = 3
const stepsOfRun = 20

/** Tokens a second over the last steps of the newest runs of a model. */
async function earlierSpeed(db: Database, model: string, method: TrainParameters['method']): Promise<number | undefined> {
  const runs = await db
    .selectFrom('trainingRuns')
    .select(['id', 'parameters'])
    .where('baseModel', '=', model)
    .where('step', '>', 0)
    .orderBy('createdAt', 'desc')
    .limit(4 * earlierRuns)
    .execute()
  const like = runs.filter(({ parameters }) => JSON.parse(parameters).method === method).slice(0, earlierRuns)
  const steps = await Promise.all(like.map(({ id }) => listLastSteps(db, id, stepsOfRun)))
  return tokensPerSecond(steps.flat())
}
