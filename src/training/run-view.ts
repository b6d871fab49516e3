import type { TrainParameters, TrainPlan } from '../engine/train/protocol.ts'
import type { Database } from '../storage/tables.ts'
import { listLastSteps, type StepRow } from './metric-rows.ts'
import { toParametersAnswer } from './run-parameters.ts'
import type { RunRow } from './run-rows.ts'
import type { EstimatedPlan } from './runs.ts'
import type { PlannedAnswer, RunAnswer } from './schema.ts'

/** A run with what only the running service knows of it. */
export type RunView = Readonly<{
  row: RunRow
  isStopping: boolean
  isYielding: boolean
  queuePosition: number | undefined
  /** The last ones, in order. */
  recent: readonly StepRow[]
}>

/** Enough to tell a speed by. */
const recentSteps = 20

export const listRecent = (db: Database, runId: string): Promise<StepRow[]> => listLastSteps(db, runId, recentSteps)

export function toRunAnswer({ row, isStopping, isYielding, queuePosition, recent }: RunView): RunAnswer {
  const parameters: TrainParameters = JSON.parse(row.parameters)
  const plan: Omit<TrainPlan, 'type'> | undefined = row.plan === null ? undefined : JSON.parse(row.plan)
  const last = recent.at(-1)
  const ms = recent.reduce((sum, step) => sum + step.ms, 0)
  const speed = tokensPerSecond(recent)
  const left =
    row.state !== 'running' || plan === undefined || ms === 0 ? null : ((plan.steps - row.step) * ms) / recent.length / 1000
  return {
    id: row.id,
    name: row.name,
    state: row.state,
    stopping: isStopping,
    yielding: isYielding,
    queue_position: queuePosition ?? null,
    model: row.baseModel,
    dataset: { id: row.datasetId, name: row.datasetName, version: row.datasetVersion },
    replay_dataset_id: row.replayDatasetId,
    parameters: toParametersAnswer(parameters),
    plan: plan === undefined ? null : toPlanAnswer(plan),
    step: row.step,
    epoch: last?.epoch ?? null,
    loss: last?.loss ?? null,
    checkpoint_step: row.checkpointStep,
    best_step: row.bestStep,
    held_out_loss: row.heldOutLoss,
    tokens_per_second: speed === undefined ? null : round(speed),
    trained_seconds: round(row.trainedMs / 1000),
    yielded_seconds: round(row.yieldedMs / 1000),
    seconds_left: left === null ? null : round(Math.max(0, left)),
    resident_bytes: row.residentBytes,
    adapter: row.adapter,
    served_as: row.adapter === null ? null : `${row.baseModel}+${row.adapter}`,
    error: row.errorCode === null ? null : { code: row.errorCode, message: row.errorMessage ?? '' },
    created_by: row.createdBy,
    created_at: row.createdAt,
    started_at: row.startedAt,
    ended_at: row.endedAt,
    updated_at: row.updatedAt,
  }
}

export function toPlannedAnswer({ dataset, replayDatasetId, estimate, ...planned }: EstimatedPlan): PlannedAnswer {
  return {
    name: planned.name,
    model: planned.model,
    dataset: { id: dataset.id, name: dataset.name, version: dataset.version },
    replay_dataset_id: replayDatasetId ?? null,
    parameters: toParametersAnswer(planned.parameters),
    trainable_parameters: planned.trainableParameters,
    most_steps: planned.mostSteps,
    disk_bytes: planned.diskBytes,
    tokens: estimate.tokens ?? null,
    memory_bytes: estimate.memoryBytes ?? null,
    memory_allowed_bytes: estimate.memoryAllowedBytes,
    seconds: estimate.seconds === undefined ? null : round(estimate.seconds),
    seconds_by: estimate.secondsBy ?? null,
    not_estimated: estimate.unknown ?? null,
  }
}

/** Undefined where nothing was measured. */
export function tokensPerSecond(steps: readonly StepRow[]): number | undefined {
  const sum = (read: (step: StepRow) => number) => steps.reduce((total, step) => total + read(step), 0)
  const seconds = sum(({ ms }) => ms) / 1000
  return seconds > 0 ? sum(({ tokens }) => tokens) / seconds : undefined
}

const round = (value: number) => Math.round(value * 1000) / 1000

function toPlanAnswer(plan: Omit<TrainPlan, 'type'>): NonNullable<RunAnswer['plan']> {
  return {
    examples: plan.examples,
    too_long: plan.tooLong,
    empty: plan.empty,
    held_out: plan.heldOut,
    tokens: plan.tokens,
    targets: plan.targets,
    steps: plan.steps,
    trainable_parameters: plan.trainableParameters,
    memory_bytes: plan.memoryBytes,
    seconds: round(plan.seconds),
    parity: plan.parity,
  }
}
