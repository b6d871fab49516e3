import { access, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { refuseWrites } from '../refuse-writes.ts'
import { half, modelsHost, ninetyTen, rememberAnswer, startRolloutWorld } from '../rollout-world.ts'
import type { StartOptions } from '../server.ts'

async function makeSettings() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-rollout-files-'))
  onTestFinished(() => rm(folder, { recursive: true }))
  return { DATA_DIR: folder, CONFIG_FILE: join(folder, 'config.json') }
}

test('what a rollout needs is not removed, and it is told which one that is', async () => {
  const world = await startRolloutWorld()
  const models = join(world.dataDir, 'models')
  await mkdir(models, { recursive: true })
  for (const name of ['new', 'third']) await writeFile(join(models, `${name}.gguf`), 'GGUF')
  const { id } = await world.start({ alias: 'fast', arms: half })
  const refused = { status: 409, error: { code: 'conflict', message: expect.stringContaining(`/rollout/${id}/end`) } }
  expect(await world.call('DELETE', '/models/new')).toMatchObject(refused)
  await access(join(models, 'new.gguf'))
  expect(await world.call('DELETE', '/models/third')).toMatchObject({ status: 200 })
  await world.call('POST', `/rollout/${id}/promote`)
  expect(await world.call('DELETE', '/models/new')).toMatchObject(refused)
  await world.call('POST', `/rollout/${id}/end`)
  expect(await world.call('DELETE', '/models/new')).toMatchObject({ status: 200, name: 'new' })
})

describe('after a start', () => {
  /** A rollout that runs, and a service that starts with this selected. */
  async function restartWith(model: string | undefined) {
    const settings = await makeSettings()
    const before = await startRolloutWorld({ settings })
    const { id } = await before.start({ arms: ninetyTen })
    await before.app.close({ graceMs: 0 })
    const host = modelsHost()
    if (model !== undefined && model !== 'gone') await host.select(model)
    const world = await startRolloutWorld({ settings, host, selected: { provider: 'hf', model } })
    return { world, id }
  }

  test('a promotion that was cut off between the selection and its record is one, and can be undone', async () => {
    const { world, id } = await restartWith('new')
    expect(await world.detail(id)).toMatchObject({ state: 'promoted', arms: [{ share: 0 }, { model: 'new', share: 100 }] })
    expect(await world.call('GET', `/rollout/${id}/events`)).toMatchObject({
      items: [{ actor: 'start', action: 'promote', details: { model: 'new', before: 'old', reason: 'selected-before' } }, {}],
    })
    expect(await world.whoAnswers('Hi')).toBe('new')
    expect(await world.call('POST', '/rollout/rollback')).toMatchObject({ status: 200, id, state: 'rolled-back' })
    expect(await world.whoAnswers('Hi')).toBe('old')
  })

  test('a rollout of what is selected no more is over', async () => {
    const { world, id } = await restartWith('third')
    expect(await world.detail(id)).toMatchObject({ state: 'ended' })
    expect(await world.whoAnswers('Hi')).toBe('third')
  })

  test.each(['old', undefined, 'gone'])('it goes on where %s is selected', async (model) => {
    const { world, id } = await restartWith(model)
    expect(await world.detail(id)).toMatchObject({ state: 'running', version: 1 })
  })
})

describe('the evaluation that a rule requires', () => {
  const rule = { min_ratings: 1, promote_when: 'not_worse', max_days: 1e-9, require_evaluation: 'gate' }

  async function startWithEvaluation(
    values: Readonly<{ kind: 'gate' | 'upgrade'; candidate: string }>,
    options: Partial<StartOptions> = {},
  ) {
    const world = await startRolloutWorld(options)
    const unset = { ownerId: null, datasetId: null, runId: null, report: null, errorCode: null, errorMessage: null }
    const times = { createdBy: world.rootId, createdAt: new Date().toISOString(), endedAt: new Date().toISOString() }
    await world.db
      .insertInto('evaluations')
      .values({ id: 'gate', state: 'completed', baseline: 'old', request: '{}', passed: 1, ...unset, ...times, ...values })
      .execute()
    return world
  }

  test.each([
    { kind: 'gate', candidate: 'third' },
    { kind: 'upgrade', candidate: 'new' },
  ] as const)('must be a gate of the candidate: not %j', async (values) => {
    const world = await startWithEvaluation(values)
    expect(await world.call('POST', '/rollout', { arms: half, rule })).toMatchObject({
      status: 400,
      error: { details: [{ field: 'rule.require_evaluation', expected: 'the id of a gate of "new"' }] },
    })
  })

  test('lets its candidate pass; what the rule demands is tried again where it could not be done, and that is told', async () => {
    const lines: string[] = []
    const logging = { settings: { LOG_LEVEL: 'error' }, logStream: { write: (line: string) => void lines.push(line) } }
    const world = await startWithEvaluation({ kind: 'gate', candidate: 'new' }, logging)
    const { id } = await world.start({ arms: half, rule: { ...rule, max_days: 30 } })
    const allow = await refuseWrites(world.db, { table: 'rollouts', event: 'update' })
    for (const [model, rating] of [
      ['old', 'down'],
      ['new', 'up'],
    ] as const) {
      const prediction_id = await rememberAnswer(world.db, { rolloutId: id, model, ownerId: world.rootId })
      await world.send('POST', '/feedback', { prediction_id, rating })
    }
    await expect.poll(() => lines.join('')).toContain('The rule of a rollout could not be followed')
    expect((await world.detail(id)).state).toBe('running')
    await allow()
    await world.send('POST', '/feedback', { text: 'So that the rule is looked at.' })
    await expect.poll(async () => (await world.detail(id)).state).toBe('promoted')
  })

  test('lets nobody pass once it is removed, and hinders nothing else', async () => {
    const world = await startWithEvaluation({ kind: 'gate', candidate: 'new' })
    const { id } = await world.start({ arms: half, rule })
    expect((await world.send('DELETE', '/training/evaluations/gate')).status).toBe(204)
    await world.send('POST', '/feedback', { text: 'So that the rule is looked at.' })
    await expect.poll(async () => (await world.detail(id)).state).toBe('rolled-back')
  })
})
