import { AppError } from '../../errors.ts'
import type { LearnedExample, Update } from './batches.ts'
import type { Checkpoint, Checkpoints, Progress } from './checkpoint.ts'
import type { TokenRow } from './example-tokens.ts'
import { createObjective, type Evaluated, type Material, materialTokens, type Objective } from './objective.ts'
import { addGradients, clippingScale, createAdamW, globalNorm, type Optimizer } from './optimizer.ts'
import type { TrainEvent, TrainParameters } from './protocol.ts'
import { learningRateAt } from './schedule.ts'
import { mixSeeds } from './seeds.ts'
import type { Trainable } from './trainable.ts'

/** What somebody outside wants of a run; looked at between steps. */
export interface TrainControl {
  /** Whether it is to end after the step under way. */
  isStopped(): boolean
  /** Waits while it is to pause, and lets messages in. */
  whenRunning(): Promise<void>
}

export type LoopParts = Readonly<{
  trainable: Pick<Trainable, 'parameters' | 'score' | 'differentiate'>
  parameters: TrainParameters
  examples: readonly LearnedExample[]
  replay: readonly TokenRow[]
  heldOut: readonly LearnedExample[]
  updates: readonly Update[]
  checkpoints: Checkpoints
  control: TrainControl
  send: (event: TrainEvent) => void
  /** Milliseconds. */
  now: () => number
  residentBytes: () => number
  /** At least so often is a checkpoint written; what is lost by a kill is no more. */
  checkpointMs: number
}>

export type LoopEnd = Readonly<{
  reason: 'completed' | 'early-stop' | 'stopped'
  step: number
  best: NonNullable<Progress['best']> | undefined
  /** Those of the best epoch so far; undefined: no epoch is over. */
  bestParameters: readonly Float32Array[] | undefined
}>

const start: Progress = { step: 0, epochLoss: 0, epochWeight: 0, epochsWithoutBetter: 0, best: undefined }

/**
 * Learns from where the checkpoint is, or from the start. All that is random or changes follows from the seed and the step, so a run that
 * was interrupted ends with the same bytes as one that was not. Throws `unprocessable` with the step at which the numbers went out of
 * range, and what the trainable throws; the checkpoint before stays.
 */
export async function runTrainLoop(parts: LoopParts, checkpoint: Checkpoint | undefined): Promise<LoopEnd> {
  const { trainable, parameters, updates, control, send, now } = parts
  const objective = createObjective(trainable, parameters)
  const values = trainable.parameters.map(({ data }) => data)
  const optimizer = createAdamW(values, parameters)
  let bestParameters = checkpoint === undefined ? undefined : restore(checkpoint, values, optimizer)
  let progress = checkpoint?.progress ?? start
  let savedAt = now()

  async function save(): Promise<void> {
    const arrays = [...values, ...optimizer.moments.first, ...optimizer.moments.second, ...(bestParameters ?? [])]
    await parts.checkpoints.save({ progress, arrays })
    savedAt = now()
    send({ type: 'train-checkpoint', step: progress.step })
  }
  const end = (reason: LoopEnd['reason']): LoopEnd => ({ reason, step: progress.step, best: progress.best, bestParameters })

  while (progress.step < updates.length && !isOver(progress, parameters)) {
    await control.whenRunning()
    const isStopped = control.isStopped()
    if (isStopped || now() - savedAt >= parts.checkpointMs) await save()
    if (isStopped) return end('stopped')
    const update = updates[progress.step]
    if (update === undefined) break
    progress = await learn(parts, { update, objective, optimizer, progress })
    if (!update.endsEpoch) continue
    const ended = await endEpoch(parts, { update, objective, progress })
    if (ended.best !== progress.best) bestParameters = values.map((array) => Float32Array.from(array))
    progress = ended
    await save()
  }
  return end(progress.step < updates.length ? 'early-stop' : 'completed')
}

/** Fills in what the checkpoint holds, and gives the best parameters. */
function restore({ arrays, progress }: Checkpoint, values: readonly Float32Array[], { moments }: Optimizer) {
  const state = [...values, ...moments.first, ...moments.second]
  const best = progress.best === undefined ? undefined : values.map(({ length }) => new Float32Array(length))
  const targets = [...state, ...(best ?? [])]
  if (targets.length !== arrays.length || targets.some(({ length }, index) => length !== arrays[index]?.length))
    throw new AppError('conflict', 'The checkpoint is of an adapter of another shape. Start the training again.')
  for (const [index, target] of targets.entries()) target.set(arrays[index] ?? [])
  return best
}

const isOver = ({ epochsWithoutBetter }: Progress, { patience }: TrainParameters) =>
  patience > 0 && epochsWithoutBetter >= patience

type Learning = Readonly<{ update: Update; objective: Objective; optimizer: Optimizer; progress: Progress }>

/** One update of the parameters. */
async function learn(parts: LoopParts, { update, objective, optimizer, progress }: Learning): Promise<Progress> {
  const { trainable, parameters, updates, now } = parts
  const startedAt = now()
  const step = progress.step + 1
  const materials = update.pieces.map(
    (piece): Material => ({
      examples: piece.examples.flatMap((index) => parts.examples[index] ?? []),
      replay: piece.replay.flatMap((index) => parts.replay[index] ?? []),
    }),
  )
  const total = materials.reduce((sum, material) => sum + objective.weightOf(material), 0)
  let loss = 0
  let gradients: readonly Float32Array[] | undefined
  for (const [index, material] of materials.entries()) {
    const slope = await objective.differentiate(material, total, dropoutOf(parameters, step, index))
    loss += slope.loss
    gradients = materials.length === 1 ? slope.gradients : addGradients(gradients, slope.gradients)
  }
  const gradientNorm = globalNorm(gradients ?? [])
  refuseUnsound({ loss }, step, parameters, greatestLoss)
  refuseUnsound({ 'norm of the gradients': gradientNorm }, step, parameters)
  const learningRate = learningRateAt(step, updates.length, parameters)
  optimizer.update(gradients ?? [], { step, learningRate, scale: clippingScale(gradientNorm, parameters.maxGradientNorm) })
  refuseUnsound({ 'norm of the adapter': globalNorm(trainable.parameters.map(({ data }) => data)) }, step, parameters)
  const tokens = materials.reduce((sum, material) => sum + materialTokens(material), 0)
  const [ms, residentBytes] = [now() - startedAt, parts.residentBytes()]
  parts.send({ type: 'train-step', step, epoch: update.epoch, loss, learningRate, gradientNorm, tokens, ms, residentBytes })
  return { ...progress, step, epochLoss: progress.epochLoss + loss * total, epochWeight: progress.epochWeight + total }
}

function dropoutOf({ dropout, seed }: TrainParameters, step: number, piece: number) {
  return dropout === 0 ? undefined : { rate: dropout, seed: mixSeeds(seed, step, piece) }
}

type Ending = Readonly<{ update: Update; objective: Objective; progress: Progress }>

/** Without held-out examples the last epoch is the best. */
async function endEpoch(parts: LoopParts, { update: { epoch }, objective, progress }: Ending): Promise<Progress> {
  const { step, best, epochLoss, epochWeight } = progress
  const held = await evaluate(objective, parts)
  const heldOutLoss = held === undefined ? undefined : held.loss / held.weight
  refuseUnsound({ 'held-out loss': heldOutLoss ?? 0 }, step, parts.parameters)
  const isBest = heldOutLoss === undefined || heldOutLoss < (best?.heldOutLoss ?? Number.POSITIVE_INFINITY)
  const preferenceAccuracy = held === undefined || held.pairs === 0 ? undefined : held.preferred / held.pairs
  const trainLoss = epochLoss / epochWeight
  parts.send({ type: 'train-epoch', epoch, step, trainLoss, heldOutLoss, preferenceAccuracy, isBest })
  return {
    step,
    epochLoss: 0,
    epochWeight: 0,
    epochsWithoutBetter: isBest ? 0 : progress.epochsWithoutBetter + 1,
    best: isBest ? { step, heldOutLoss } : best,
  }
}

async function evaluate(objective: Objective, { heldOut, parameters, control }: LoopParts): Promise<Evaluated | undefined> {
  if (heldOut.length === 0) return undefined
  const sums = { loss: 0, weight: 0, preferred: 0, pairs: 0 }
  for (let from = 0; from < heldOut.length; from += parameters.batchSize) {
    await control.whenRunning()
    const { loss, weight, preferred, pairs } = await objective.evaluate(heldOut.slice(from, from + parameters.batchSize))
    sums.loss += loss
    sums.weight += weight
    sums.preferred += preferred
    sums.pairs += pairs
  }
  return sums
}

/** One that guesses has about 12 nats for each token: such a model has lost all that it knew, though its numbers are still finite. */
const greatestLoss = 100

function refuseUnsound(
  numbers: Readonly<Record<string, number>>,
  step: number,
  { learningRate }: TrainParameters,
  greatest = Number.MAX_VALUE,
): void {
  const wrong = Object.entries(numbers).find(([, value]) => !(Math.abs(value) <= greatest))
  if (wrong === undefined) return
  const [name, value] = wrong
  throw new AppError('unprocessable', `At step ${step} the ${name} is ${value}. Lower the learning rate (it is ${learningRate}).`)
}
