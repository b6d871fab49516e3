import { expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { makePlan, type PlanParts } from '../../src/evaluation/make-plan.ts'
import { admin } from '../evaluation-work.ts'

const clouds = ['opus', 'claude/opus']

const parts: PlanParts = {
  localOnly: false,
  async choose({ model = 'base' }) {
    const ranOn = clouds.includes(model) ? 'cloud' : 'local'
    return { provider: ranOn === 'cloud' ? 'claude' : 'hf', model, ranOn, why: 'requested', passedBy: [] }
  },
  async getRun(name) {
    if (name !== 'run') throw new AppError('not_found', 'There is none.')
    return { id: 'r1', model: 'base+run', datasetId: 'd1' }
  },
  getDatasetId: async (name) => `id of ${name}`,
}
const caller = { asker: admin, userId: '1' }

test('what is not said is the model in use, the usual thresholds, and no judge', async () => {
  const { plan, runId } = await makePlan(parts, { kind: 'gate', candidate: 'tuned' }, caller)
  expect(runId).toBeUndefined()
  expect(plan).toEqual({
    kind: 'gate',
    asker: admin,
    baseline: { provider: 'hf', model: 'base', ranOn: 'local' },
    candidate: { provider: 'hf', model: 'tuned', ranOn: 'local' },
    judge: undefined,
    datasetId: undefined,
    maxRows: 500,
    maxQuestions: 50,
    maxTokens: 256,
    thresholds: {
      held_out_loss_percent: 0,
      forgetting_percent: 3,
      exact_match_points: 0,
      preference_accuracy: 0.5,
      judge_win_rate: null,
    },
  })
})

test('a run stands for its adapter and its dataset, unless others are named', async () => {
  expect(await makePlan(parts, { kind: 'gate', run: 'run' }, caller)).toMatchObject({
    runId: 'r1',
    plan: { candidate: { model: 'base+run' }, datasetId: 'd1' },
  })
  const named = { kind: 'gate', run: 'run', candidate: 'merged', dataset: 'facts' } as const
  expect(await makePlan(parts, named, caller)).toMatchObject({
    plan: { candidate: { model: 'merged' }, datasetId: 'id of facts' },
  })
})

test('one threshold that is given leaves the others as they are, and null takes one away', async () => {
  const thresholds = { forgetting_percent: null, judge_win_rate: 0.6 }
  const { plan } = await makePlan(parts, { kind: 'gate', candidate: 'tuned', thresholds }, caller)
  expect(plan).toMatchObject({ thresholds: { held_out_loss_percent: 0, forgetting_percent: null, judge_win_rate: 0.6 } })
})

test('under LOCAL_ONLY nobody elsewhere is asked, as a judge, a candidate or a baseline', async () => {
  const judged = { kind: 'gate', candidate: 'tuned', judge: 'claude/opus' } as const
  expect(await makePlan(parts, judged, caller)).toMatchObject({ plan: { judge: { provider: 'claude', ranOn: 'cloud' } } })
  const shut = { ...parts, localOnly: true }
  for (const body of [
    judged,
    { kind: 'gate', candidate: 'opus' },
    { kind: 'gate', candidate: 'tuned', baseline: 'opus' },
    { kind: 'upgrade', a: 'base', b: 'opus' },
  ] as const)
    await expect(makePlan(shut, body, caller)).rejects.toMatchObject({ code: 'forbidden' })
})
