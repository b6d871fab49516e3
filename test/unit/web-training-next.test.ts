import { expect, test } from 'vitest'
import type { ListedEvaluation } from '../../src/evaluation/schema.ts'
import { nextStep, type Standing } from '../../web/training/overview/next-step.ts'
import { canResume, helpFor, wordsOfState } from '../../web/training/runs/run-words.ts'

const at = '2026-01-01T00:00:00.000Z'
const nothing: Standing = { hasFeedback: false, dataset: undefined, run: undefined, gate: undefined, rollout: undefined }
const dataset: NonNullable<Standing['dataset']> = {
  id: 'd',
  name: 'facts',
  version: 2,
  kind: 'chat',
  source: 'upload',
  train_rows: 10,
  held_out_rows: 1,
  sha256: '',
  created_by: null,
  created_at: at,
}
const run: NonNullable<Standing['run']> = {
  id: 'r',
  name: 'first',
  state: 'completed',
  stopping: false,
  yielding: false,
  queue_position: null,
  model: 'base',
  dataset: { id: 'd', name: 'facts', version: 2 },
  replay_dataset_id: null,
  parameters: {
    method: 'sft',
    epochs: 1,
    batch_size: 1,
    accumulation: 1,
    learning_rate: 1,
    schedule: 'cosine',
    warmup: 0,
    rank: 1,
    alpha: 1,
    modules: ['attn_q'],
    dropout: 0,
    max_length: 100,
    packs: true,
    max_gradient_norm: 1,
    weight_decay: 0,
    seed: 1,
    patience: 0,
    beta: 0.1,
    replay: 0,
  },
  plan: null,
  step: 7,
  epoch: 1,
  loss: 1,
  checkpoint_step: null,
  best_step: 7,
  held_out_loss: null,
  tokens_per_second: null,
  trained_seconds: 1,
  yielded_seconds: 0,
  seconds_left: null,
  resident_bytes: null,
  adapter: 'first',
  served_as: 'base+first',
  error: null,
  created_by: null,
  created_at: at,
  started_at: at,
  ended_at: at,
  updated_at: at,
}
const gate: ListedEvaluation = {
  id: 'g',
  kind: 'gate',
  state: 'completed',
  baseline: 'base',
  candidate: 'base+first',
  dataset_id: 'd',
  run_id: 'r',
  passed: true,
  progress: null,
  error: null,
  created_by: null,
  created_at: at,
  ended_at: at,
}
const rollout: NonNullable<Standing['rollout']> = {
  id: 'o',
  alias: 'default',
  state: 'running',
  version: 1,
  arms: [
    { model: 'base', provider: 'hf', ran_on: 'local', share: 90 },
    { model: 'base+first', provider: 'hf', ran_on: 'local', share: 10 },
  ],
  rule: null,
  blocked_by: null,
  created_by: null,
  created_at: at,
  ended_at: null,
}

test('the next step is the first on the path that is not done', () => {
  const learning = { ...run, state: 'running', served_as: null } as const
  const cases: ReadonlyArray<readonly [Partial<Standing>, string, readonly string[]]> = [
    [{}, 'nextFeedback', ['datasets', 'new']],
    [{ hasFeedback: true }, 'nextDataset', ['datasets', 'new']],
    [{ dataset }, 'nextRun', ['runs', 'new', 'd']],
    [{ dataset, run: learning }, 'nextWatch', ['runs', 'r']],
    [{ dataset, run: { ...learning, state: 'paused' } }, 'nextResume', ['runs', 'r']],
    [{ dataset, run }, 'nextGate', ['evaluations', 'new', 'r']],
    [{ dataset: { ...dataset, id: 'e', created_at: '2026-02-01T00:00:00.000Z' }, run }, 'nextRun', ['runs', 'new', 'e']],
    [{ dataset, run, gate: { ...gate, candidate: 'base+other' } }, 'nextGate', ['evaluations', 'new', 'r']],
    [{ dataset, run, gate: { ...gate, state: 'running' } }, 'nextWaitGate', ['evaluations', 'g']],
    [{ dataset, run, gate: { ...gate, state: 'failed', passed: null } }, 'nextGate', ['evaluations', 'new', 'r']],
    [{ dataset, run, gate: { ...gate, passed: false } }, 'nextFailed', ['evaluations', 'g']],
    [{ dataset, run, gate }, 'nextRollout', ['rollouts', 'new', 'base+first', 'g']],
    [{ dataset, run, gate, rollout }, 'nextDecide', ['rollouts', 'o']],
    [{ dataset, run, gate, rollout: { ...rollout, state: 'promoted' } }, 'nextAgain', ['datasets', 'new']],
  ]
  for (const [standing, text, path] of cases) expect(nextStep({ ...nothing, ...standing })).toMatchObject({ text, path })
})

test('a run says what it does, and what to do where it failed', () => {
  const queued = { ...run, state: 'queued', queue_position: 2 } as const
  expect(wordsOfState(queued)).toEqual({ name: 'stateQueued', values: { count: 2 } })
  expect(wordsOfState({ ...queued, queue_position: 0 }).name).toBe('stateNext')
  const running = { ...run, state: 'running', step: 0 } as const
  expect(wordsOfState(running).name).toBe('statePreparing')
  expect(wordsOfState({ ...running, yielding: true }).name).toBe('stateYielding')
  expect(wordsOfState({ ...running, yielding: true, stopping: true }).name).toBe('stateStopping')
  expect(wordsOfState(run)).toEqual({ name: 'stateCompleted', values: { model: 'base+first' } })
  const failed = (code: string) => ({ ...run, state: 'failed', error: { code, message: '' } }) as const
  expect([helpFor('too_large'), helpFor('unprocessable'), helpFor('internal')]).toEqual([
    'helpTooLarge',
    'helpNumbers',
    'helpOther',
  ])
  expect([failed('too_large'), failed('unprocessable'), failed('internal'), run].map(canResume)).toEqual([
    true,
    false,
    false,
    false,
  ])
})
