import { expect, test } from 'vitest'
import { endOf, plan, stepOf } from '../trainer.ts'
import { openTrainingWorld, until } from '../training-world.ts'

test('two machines work on two runs of one queue at a time, each run on one of them', async () => {
  const world = await openTrainingWorld()
  const other = await world.openBeside('two', 'another machine')
  const first = await world.create()
  const second = await world.create()
  await world.trainer(1)
  await other.look()
  await world.trainer(2)
  const rows = await Promise.all([first, second].map(({ row }) => other.get(row.id)))
  expect(rows.map(({ row }) => [row.state, row.instanceId])).toEqual([
    ['running', 'one'],
    ['running', 'two'],
  ])
  await other.look()
  await world.runs().look()
  expect(world.trainers).toHaveLength(2)
})

test('two processes of one machine never train at a time', async () => {
  const world = await openTrainingWorld()
  const other = await world.openBeside('two', 'this')
  await world.create()
  await world.create()
  const trainer = await world.trainer(1)
  await other.look()
  await until(async () => (await world.stateOf('run-1')) === 'queued')
  trainer.send(plan, stepOf(1), endOf('completed', 1, await world.adapterOf(trainer)))
  await world.trainer(2)
  expect(await world.stateOf('run-1')).toBe('running')
})

test('a run is stopped and looked at through another process, and none that lives is taken for dead', async () => {
  const world = await openTrainingWorld()
  const { row } = await world.create()
  const trainer = await world.trainer(1)
  const other = await world.openBeside('two', 'another machine')
  trainer.send(plan, stepOf(1))
  await until(async () => (await other.get(row.id)).row.step === 1)
  expect((await other.get(row.id)).row.state).toBe('running')
  const stopping = other.pause(row.id)
  await until(async () => (await other.get(row.id)).isStopping)
  await world.runs().look()
  expect(trainer.told).toContain('stop')
  trainer.send(endOf('stopped', 1))
  expect((await stopping).row.state).toBe('paused')
})

test('a run of a process that has gone is interrupted by another one, and goes on there', async () => {
  const world = await openTrainingWorld()
  const { row } = await world.create()
  const trainer = await world.trainer(1)
  const other = await world.openBeside('two', 'another machine')
  await world.db.deleteFrom('instances').where('id', '=', 'one').execute()
  await other.look()
  await until(async () => (await other.get(row.id)).row.state === 'interrupted')
  await other.resume(row.id)
  await world.trainer(2)
  expect((await other.get(row.id)).row).toMatchObject({ state: 'running', instanceId: 'two' })
  // The first was only away: what it does counts no more.
  await world.runs().look()
  await until(() => trainer.told.includes('kill'))
  await until(async () =>
    world
      .runs()
      .numbers()
      .then(({ step }) => step === 0),
  )
  expect((await other.get(row.id)).row).toMatchObject({ state: 'running', instanceId: 'two' })
})

/** A run that was paused after a step, by a process that has gone, with its checkpoint on the disk of that. */
async function pauseElsewhere() {
  const world = await openTrainingWorld()
  const { row } = await world.create()
  const trainer = await world.trainer(1)
  const other = await world.openBeside('two', 'another machine', { hasOwnDisk: true })
  trainer.send(plan, stepOf(1), { type: 'train-checkpoint', step: 1 })
  await until(async () => (await other.get(row.id)).row.checkpointStep === 1)
  const pausing = world.runs().pause(row.id)
  await until(() => trainer.told.includes('stop'))
  trainer.send(endOf('stopped', 1))
  await pausing
  return { world, other, id: row.id }
}

test('a run whose checkpoint is on the disk of a process that lives goes on there, and nowhere else', async () => {
  const { world, other, id } = await pauseElsewhere()
  await other.resume(id)
  world.pass(60_000)
  // It passes that one by, and takes the next.
  const { row: next } = await other.create(world.wanted())
  await until(async () => (await world.stateOf(next.id)) === 'running')
  expect(await world.stateOf(id)).not.toBe('failed')
  await world.runs().look()
  await world.trainer(3)
  expect((await other.get(id)).row).toMatchObject({ state: 'running', instanceId: 'one', checkpointStep: 1 })
  expect((await other.get(next.id)).row).toMatchObject({ state: 'running', instanceId: 'two' })
})

test('a run whose checkpoint is on a disk that is not there says so, keeps its place, and begins anew when that is asked for', async () => {
  const { world, other, id } = await pauseElsewhere()
  await world.runs().close()
  await world.db.deleteFrom('instances').where('id', '=', 'one').execute()
  await other.resume(id)
  // Who has it may be about to come back.
  await other.create(world.wanted())
  const next = await world.trainer(2)
  expect(await world.stateOf(id)).toBe('queued')
  world.pass(60_000)
  next.send(plan, endOf('stopped', 0))
  await until(async () => (await other.get(id)).row.state === 'failed')
  expect((await other.get(id)).row).toMatchObject({
    checkpointStep: 1,
    step: 1,
    errorCode: 'conflict',
    errorMessage: expect.stringContaining('(step 1) is not in'),
  })
  expect(world.trainers).toHaveLength(2)
  await other.resume(id, true)
  expect((await world.trainer(3)).job.adapter.run).toBe(id)
  expect((await other.get(id)).row).toMatchObject({ state: 'running', instanceId: 'two', checkpointStep: null })
})
