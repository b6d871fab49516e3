import { openAsBlob } from 'node:fs'
import type { NewRunBody } from '../../src/training/schema.ts'
import type { LearningService } from './service.ts'
import { runGate, train } from './train.ts'

const pairsFile = new URL('../../test/fixtures/training/preferences.jsonl', import.meta.url)
const heldOutShare = 0.2

/** Shares of the held-out pairs, from 0 to 1. */
export type PreferencesResult = Readonly<{
  trainPairs: number
  heldOutPairs: number
  /** Where the chosen answer is the likelier one. */
  before: number
  after: number
  /** Where the chosen answer has gained more than the rejected one, as against the model before. */
  byReward: number
  forgettingPercent: number
  trainSeconds: number
  gateSeconds: number
  tokensPerSecond: number
  trainerBytes: number
}>

/** Has the model learn which of two answers is preferred. One gate tells how it was before and how it is after. */
export async function runPreferences({ client }: LearningService, recipe: NewRunBody): Promise<PreferencesResult> {
  const form = new FormData()
  form.set('name', 'preferences')
  form.set('held_out', String(heldOutShare))
  form.set('file', await openAsBlob(pairsFile), 'preferences.jsonl')
  const dataset = await client.addDataset(form)
  const startedAt = performance.now()
  const { run, tokensPerSecond } = await train(client, { ...recipe, method: 'dpo', dataset: dataset.id, name: 'preferring' })
  const trainedAt = performance.now()
  const { report } = await runGate(client, { run: run.id })
  const gatedAt = performance.now()
  const { preferences, forgetting, unavailable } = report.likelihood
  if (preferences === null) throw new Error(`The gate has compared no pairs: ${unavailable ?? 'none is held out'}`)
  return {
    trainPairs: dataset.train_rows,
    heldOutPairs: preferences.pairs,
    before: preferences.by_sum.baseline.accuracy.value,
    after: preferences.by_sum.candidate.accuracy.value,
    byReward: preferences.by_reward.accuracy.value,
    forgettingPercent: forgetting?.change_percent.value ?? Number.NaN,
    trainSeconds: (trainedAt - startedAt) / 1000,
    gateSeconds: (gatedAt - trainedAt) / 1000,
    tokensPerSecond,
    trainerBytes: run.resident_bytes ?? 0,
  }
}
