import { readFile } from 'node:fs/promises'
import { describe, expect, test } from 'vitest'
import type { TrainingExample } from '../../src/engine/train/example.ts'
import { AppError } from '../../src/errors.ts'
import { listSteps } from '../../src/training/metric-rows.ts'
import { toParameters } from '../../src/training/run-parameters.ts'
import { refuseWrites } from '../refuse-writes.ts'
import { endOf, epochOf, plan, stepOf } from '../trainer.ts'
import { addDataset, openTrainingWorld, until } from '../training-world.ts'

const usual = { epochs: 3, batchSize: 4, learningRate: 2e-4 }
const stepsOf = async ({ db }: Awaited<ReturnType<typeof openTrainingWorld>>, id: string) =>
  (await listSteps(db, id, { after: 0, limit: 1000 })).map(({ step, loss }) => [step, loss])

describe('a run', () => {
  test('is given its files, tells its steps, and ends as an adapter among the models', async () => {
    const world = await openTrainingWorld()
    const created = await world.create({ createdBy: undefined })
    expect(created.row).toMatchObject({ name: 'facts-1', state: 'queued', baseModel: 'base', datasetName: 'facts' })
    const trainer = await world.trainer(1)
    const { job } = trainer
    expect(job.adapter).toEqual({ name: 'facts-1', baseModel: 'base', run: 'run-0' })
    expect(job).toMatchObject({ modelPath: '/models/base.gguf', threads: 2, device: 'cpu', memoryBytes: 1e9 })
    expect(await readFile(job.trainFile, 'utf8')).toBe('{"type":"text","text":"train"}\n'.repeat(4))
    expect(await readFile(job.heldOutFile, 'utf8')).toBe('{"type":"text","text":"held-out"}\n')
    expect(await readFile(job.replayFile ?? '', 'utf8')).toContain('general')
    trainer.send(plan, stepOf(1), stepOf(2), epochOf(1, { step: 2 }), { type: 'train-checkpoint', step: 2 })
    trainer.send(endOf('completed', 2, await world.adapterOf(trainer)))
    await until(async () => (await world.stateOf('run-0')) === 'completed')
    const { row, recent } = await world.runs().get('run-0')
    expect(row).toMatchObject({ step: 2, bestStep: 2, heldOutLoss: 0.3, checkpointStep: 2, adapter: 'facts-1', errorCode: null })
    expect(row.residentBytes).toBe(1e8 + 2)
    expect(recent.map(({ step }) => step)).toEqual([1, 2])
    expect(await world.models()).toEqual(['facts-1.gguf'])
    await until(async () => (await world.folders()).length === 0)
    expect((await world.runs().latest()).completed?.row.id).toBe('run-0')
  })

  test('waits until those before it have ended, in the order in which they came', async () => {
    const world = await openTrainingWorld()
    for (const name of ['a', 'b', 'c']) await world.create({ name })
    const first = await world.trainer(1)
    const page = await world.runs().list({ limit: 10, cursor: undefined, state: undefined })
    expect(page.items.map(({ row, queuePosition }) => [row.name, row.state, queuePosition])).toEqual([
      ['c', 'queued', 1],
      ['b', 'queued', 0],
      ['a', 'running', undefined],
    ])
    first.send(endOf('completed', 1, await world.adapterOf(first)))
    const second = await world.trainer(2)
    expect(second.job.folder).toMatch(/run-1$/)
    await world.runs().cancel('run-1')
    expect((await world.trainer(3)).job.folder).toMatch(/run-2$/)
  })

  test('that fails publishes nothing, and says why with the step', async () => {
    const world = await openTrainingWorld()
    await world.create()
    const trainer = await world.trainer(1)
    trainer.send(plan, stepOf(1), stepOf(2))
    trainer.fail(new AppError('unprocessable', 'The loss is not a number at step 3.'))
    await until(async () => (await world.stateOf('run-0')) === 'failed')
    const { row } = await world.runs().get('run-0')
    expect(row).toMatchObject({
      step: 2,
      adapter: null,
      errorCode: 'unprocessable',
      errorMessage: expect.stringContaining('step 3'),
    })
    expect(await world.models()).toEqual([])
    await expect(world.runs().resume('run-0')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('again'),
    })
  })

  test('whose loss is not a number fails with the step, also when its process does not see it', async () => {
    const world = await openTrainingWorld()
    await world.create()
    const trainer = await world.trainer(1)
    trainer.send(stepOf(1), stepOf(2, { loss: Number.NaN }), stepOf(3))
    await until(async () => (await world.stateOf('run-0')) === 'failed')
    expect((await world.runs().get('run-0')).row).toMatchObject({ step: 1, errorMessage: expect.stringContaining('step 2') })
    expect(trainer.isOver()).toBe(true)
  })

  test('that met a full disk, or whose process was killed, goes on from its checkpoint', async () => {
    const world = await openTrainingWorld()
    await world.create()
    const first = await world.trainer(1)
    first.send(stepOf(1), { type: 'train-checkpoint', step: 1 }, stepOf(2))
    first.fail(new AppError('storage_full', 'The disk is full.'))
    await until(async () => (await world.stateOf('run-0')) === 'failed')
    expect((await world.runs().resume('run-0')).row).toMatchObject({ state: 'queued', errorCode: null })
    const second = await world.trainer(2)
    second.send({ type: 'train-resume', step: 1 }, stepOf(2, { loss: 7 }))
    second.fail(new AppError('unavailable', 'The process ended (SIGKILL).'))
    await until(async () => (await world.stateOf('run-0')) === 'failed')
    expect(await stepsOf(world, 'run-0')).toEqual([
      [1, 10],
      [2, 7],
    ])
    await world.runs().resume('run-0')
    const third = await world.trainer(3)
    third.send(endOf('early-stop', 2, await world.adapterOf(third)))
    await until(async () => (await world.stateOf('run-0')) === 'completed')
  })

  test('leaves the machine when it is paused, and goes on when it is resumed, without double steps', async () => {
    const world = await openTrainingWorld()
    await world.create()
    const first = await world.trainer(1)
    first.send(plan, ...[1, 2, 3].map((step) => stepOf(step)))
    const pausing = world.runs().pause('run-0')
    await until(() => first.told.includes('stop'))
    expect((await world.runs().get('run-0')).isStopping).toBe(true)
    first.send({ type: 'train-checkpoint', step: 3 }, endOf('stopped', 3))
    expect((await pausing).row).toMatchObject({ state: 'paused', step: 3, checkpointStep: 3, errorCode: null })
    await expect(world.runs().pause('run-0')).rejects.toMatchObject({
      code: 'conflict',
      message: expect.stringContaining('paused'),
    })
    await world.runs().resume('run-0')
    const second = await world.trainer(2)
    // The checkpoint of step 3 was torn, say: the one before counts.
    second.send({ type: 'train-resume', step: 2 }, stepOf(3, { loss: 5 }), stepOf(4))
    second.send(endOf('completed', 4, await world.adapterOf(second)))
    await until(async () => (await world.stateOf('run-0')) === 'completed')
    expect(await stepsOf(world, 'run-0')).toEqual([
      [1, 10],
      [2, 5],
      [3, 5],
      [4, 2.5],
    ])
  })

  test('that goes on from before its best epoch tells the best one until then, and at its end that of its adapter', async () => {
    const world = await openTrainingWorld()
    await world.create()
    const first = await world.trainer(1)
    first.send(plan, stepOf(1), epochOf(1, { step: 1, heldOutLoss: 3 }), { type: 'train-checkpoint', step: 1 })
    first.send(stepOf(2), epochOf(2, { step: 2, heldOutLoss: 2 }), stepOf(3))
    await until(async () => (await world.runs().get('run-0')).row.step === 3)
    expect((await world.runs().get('run-0')).row).toMatchObject({ bestStep: 2, heldOutLoss: 2 })
    await world.runs().cancel('run-0')
    await world.runs().resume('run-0')
    const second = await world.trainer(2)
    second.send({ type: 'train-resume', step: 1 })
    await until(async () => (await world.runs().get('run-0')).row.step === 1)
    expect((await world.runs().get('run-0')).row).toMatchObject({ bestStep: 1, heldOutLoss: 3, checkpointStep: 1 })
    // What the checkpoint knows of an epoch may never have come here.
    second.send(stepOf(2), stepOf(3), stepOf(4), { ...endOf('completed', 4, await world.adapterOf(second)), bestStep: 3 })
    await until(async () => (await world.stateOf('run-0')) === 'completed')
    expect((await world.runs().get('run-0')).row).toMatchObject({ bestStep: 3, heldOutLoss: 0.3 })
  })

  test('whose checkpoints are of no use begins again, and says so at once', async () => {
    const world = await openTrainingWorld()
    await world.create()
    const first = await world.trainer(1)
    first.send(plan, stepOf(1), epochOf(1, { step: 1 }), { type: 'train-checkpoint', step: 1 })
    await until(async () => (await world.runs().get('run-0')).row.checkpointStep === 1)
    await world.runs().cancel('run-0')
    await world.runs().resume('run-0')
    ;(await world.trainer(2)).send({ ...plan, steps: 7 })
    await until(async () => (await world.runs().get('run-0')).row.step === 0)
    const { row } = await world.runs().get('run-0')
    expect(row).toMatchObject({ checkpointStep: null, bestStep: null, heldOutLoss: null })
    expect(JSON.parse(row.plan ?? '')).toMatchObject({ steps: 7 })
  })

  test('that is cancelled ends at once, keeps its folder, and can be resumed', async () => {
    const world = await openTrainingWorld()
    await world.create()
    const trainer = await world.trainer(1)
    trainer.send(stepOf(1))
    expect((await world.runs().cancel('run-0')).row).toMatchObject({ state: 'cancelled', endedAt: expect.any(String) })
    expect(trainer.told).toContain('kill')
    expect(await world.folders()).toEqual(['run-0'])
    await expect(world.runs().cancel('run-0')).rejects.toMatchObject({ code: 'conflict' })
    await world.runs().resume('run-0')
    await world.trainer(2)
    expect(await world.stateOf('run-0')).toBe('running')
  })

  test('that has begun again from the start replaces all of its steps', async () => {
    const world = await openTrainingWorld()
    await world.create()
    const first = await world.trainer(1)
    first.send(stepOf(1), stepOf(2), stepOf(3), epochOf(1, { step: 3 }))
    await until(async () => (await world.runs().get('run-0')).row.step === 3)
    await world.runs().cancel('run-0')
    await world.runs().resume('run-0')
    const second = await world.trainer(2)
    second.send(stepOf(1, { loss: 9 }))
    await until(async () => (await stepsOf(world, 'run-0')).length === 1)
    expect(await stepsOf(world, 'run-0')).toEqual([[1, 9]])
    expect(await world.db.selectFrom('trainingEpochs').selectAll().execute()).toEqual([])
  })
})

describe('the end of the service', () => {
  test('has a run write a checkpoint; it is interrupted, and those that wait go on waiting', async () => {
    const world = await openTrainingWorld()
    await world.create()
    await world.create()
    const trainer = await world.trainer(1)
    trainer.send(stepOf(1))
    const closing = world.close()
    await until(() => trainer.told.includes('stop'))
    trainer.send({ type: 'train-checkpoint', step: 1 }, endOf('stopped', 1))
    await closing
    const rows = await world.db
      .selectFrom('trainingRuns')
      .select(['id', 'state', 'errorMessage', 'checkpointStep'])
      .orderBy('id')
      .execute()
    expect(rows).toMatchObject([
      { state: 'interrupted', errorMessage: expect.stringContaining('shut down'), checkpointStep: 1 },
      { state: 'queued' },
    ])
    expect(world.trainers).toHaveLength(1)
  })

  test('does not wait longer than its time for a checkpoint', async () => {
    const world = await openTrainingWorld()
    await world.create()
    const trainer = await world.trainer(1)
    const closing = world.close()
    await world.clock.awaited(20_000)
    world.clock.advance(20_000)
    await closing
    expect(trainer.told).toEqual(['stop', 'kill'])
    expect(await world.db.selectFrom('trainingRuns').select('state').execute()).toEqual([{ state: 'interrupted' }])
  })

  test('without a warning leaves no run that is told to run; what waited begins by itself', async () => {
    const world = await openTrainingWorld()
    await world.create()
    await world.create()
    await world.trainer(1)
    await world.restart()
    expect(await world.stateOf('run-0')).toBe('interrupted')
    expect((await world.runs().get('run-0')).row.errorMessage).toContain('ended while it ran')
    expect((await world.trainer(2)).job.folder).toMatch(/run-1$/)
    expect((await world.runs().resume('run-0')).row).toMatchObject({ state: 'queued', errorMessage: null })
  })
})

test('a run whose end cannot be stored is interrupted, and those that wait go on', async () => {
  const world = await openTrainingWorld()
  await world.create()
  await world.create()
  await refuseWrites(world.db, { table: 'training_runs', event: 'update of state', when: "new.state = 'completed'" })
  const first = await world.trainer(1)
  first.send(endOf('completed', 1, await world.adapterOf(first)))
  expect((await world.trainer(2)).job.folder).toMatch(/run-1$/)
  expect((await world.runs().get('run-0')).row).toMatchObject({
    state: 'interrupted',
    errorMessage: expect.stringContaining('stored'),
  })
})

test('a run that the database did not let begin begins later by itself', async () => {
  const world = await openTrainingWorld()
  const running = { table: 'training_runs', event: 'update of state', when: "new.state = 'running'" }
  const allow = await refuseWrites(world.db, running)
  await world.create()
  await world.clock.awaited(60_000)
  expect(await world.stateOf('run-0')).toBe('queued')
  await allow()
  world.clock.advance(60_000)
  await world.trainer(1)
  expect(await world.stateOf('run-0')).toBe('running')
})

describe('before a run begins', () => {
  test('models that cannot be trained are refused, with the list of those that can', async () => {
    const world = await openTrainingWorld({ base: { architecture: 'mamba' } })
    await expect(world.create()).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/gemma3, llama.*is of mamba/),
    })
    expect(world.trainers).toEqual([])
  })

  test('the dataset must have what the method learns from', async () => {
    const world = await openTrainingWorld()
    const dpo = toParameters({ method: 'dpo' }, usual)
    await expect(world.create({ parameters: dpo })).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('pairs'),
    })
    await addDataset(world.db, { name: 'empty', trainRows: 0 })
    await expect(world.create({ dataset: 'empty' })).rejects.toMatchObject({ code: 'invalid' })
    await addDataset(world.db, { name: 'pairs', kind: 'preference' })
    await expect(world.create({ replayDataset: 'pairs' })).rejects.toMatchObject({ code: 'invalid' })
    await expect(world.create({ dataset: 'nowhere' })).rejects.toMatchObject({ code: 'not_found' })
    expect((await world.create({ dataset: 'pairs:1', parameters: dpo })).row.datasetName).toBe('pairs')
  })

  test('a name that is taken, by a run or a model, is refused', async () => {
    const world = await openTrainingWorld()
    await world.create({ name: 'mine' })
    await expect(world.create({ name: 'mine' })).rejects.toMatchObject({ code: 'conflict' })
    const trainer = await world.trainer(1)
    trainer.send(endOf('completed', 1, await world.adapterOf(trainer)))
    await until(async () => (await world.stateOf('run-0')) === 'completed')
    await world.runs().remove('run-0')
    await expect(world.create({ name: 'mine' })).rejects.toMatchObject({ code: 'conflict' })
  })

  test('there must be room on the disk', async () => {
    const world = await openTrainingWorld({ freeBytes: 1e6 })
    await expect(world.create()).rejects.toMatchObject({ code: 'storage_full', message: expect.stringMatching(/65 MB.*1 MB/) })
  })
})

test('the text that is replayed holds about 150 examples in two languages, each once', async () => {
  const lines = (await readFile('src/training/replay-text.jsonl', 'utf8')).trimEnd().split('\n')
  const examples: TrainingExample[] = lines.map((line) => JSON.parse(line))
  expect(examples.length).toBeGreaterThanOrEqual(150)
  expect(new Set(lines).size).toBe(lines.length)
  for (const example of examples) {
    if (example.type === 'text') expect(example.text).toMatch(/[.?!]$/)
    else if (example.type === 'chat') expect(example.messages.map(({ role }) => role)).toEqual(['user', 'assistant'])
    else expect.unreachable('Pairs cannot be replayed.')
  }
})

describe('removing a run', () => {
  test('takes its folder and numbers, and is refused while it runs', async () => {
    const world = await openTrainingWorld()
    await world.create()
    const trainer = await world.trainer(1)
    trainer.send(stepOf(1))
    await expect(world.runs().remove('run-0')).rejects.toMatchObject({ code: 'conflict' })
    await world.runs().cancel('run-0')
    await world.runs().remove('run-0')
    expect(await world.folders()).toEqual([])
    expect(await world.db.selectFrom('trainingSteps').selectAll().execute()).toEqual([])
    await expect(world.runs().get('run-0')).rejects.toMatchObject({ code: 'not_found' })
  })

  test('takes one that waits out of the queue', async () => {
    const world = await openTrainingWorld()
    await world.create()
    await world.create()
    await world.create()
    const first = await world.trainer(1)
    await world.runs().remove('run-1')
    first.send(endOf('completed', 1, await world.adapterOf(first)))
    expect((await world.trainer(2)).job.folder).toMatch(/run-2$/)
  })
})
