import type { Client } from '../../src/client.ts'
import type { EvaluationReport } from '../../src/evaluation/report-schema.ts'
import type { EvaluationBody } from '../../src/evaluation/schema.ts'
import type { NewRunBody, RunAnswer } from '../../src/training/schema.ts'
import { sum } from '../statistics.ts'

export type TrainedRun = Readonly<{
  run: RunAnswer
  /** The model that answers with what was learned. */
  model: string
  /** Of the training itself: without preparing, and without the time in which it stood still. */
  tokensPerSecond: number
}>

/** Starts a run and waits for its end. Throws where it is not completed, with its reason. */
export async function train(client: Client, body: NewRunBody): Promise<TrainedRun> {
  const { id } = await client.startTraining(body)
  for await (const event of client.watchTraining(id)) if (event.type === 'done') break
  const run = await client.trainingRun(id)
  const { served_as: model, state, error } = run
  if (state !== 'completed' || model === null) throw new Error(`The run is ${state}: ${error?.message ?? 'no reason told'}`)
  const { steps } = await client.trainingMetrics(id)
  const ms = sum(steps.map((step) => step.ms))
  return { run, model, tokensPerSecond: (sum(steps.map(({ tokens }) => tokens)) / Math.max(1, ms)) * 1000 }
}

export type Gate = Readonly<{ passed: boolean; report: EvaluationReport }>

/** Throws where the gate is not completed, with its reason. */
export async function runGate(client: Client, body: Omit<Extract<EvaluationBody, { kind: 'gate' }>, 'kind'>): Promise<Gate> {
  const { id } = await client.startEvaluation({ kind: 'gate', ...body })
  for await (const event of client.watchEvaluation(id)) if (event.type === 'done') break
  const { state, passed, report, error } = await client.evaluation(id)
  if (report === null) throw new Error(`The gate is ${state}: ${error?.message ?? 'no reason told'}`)
  return { passed: passed === true, report }
}
