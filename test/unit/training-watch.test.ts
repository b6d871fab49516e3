import fc from 'fast-check'
import { expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import type { WatchEvent } from '../../src/training/watch-run.ts'
import { endOf, epochOf, plan, stepOf } from '../trainer.ts'
import { openTrainingWorld, until } from '../training-world.ts'

const staying = new AbortController().signal

/** What one who watches believes of the run: forgets what a `resume` says. */
async function collect(events: AsyncIterable<WatchEvent>) {
  const steps = new Map<number, number>()
  const epochs = new Map<number, number>()
  const states: string[] = []
  let doubles = 0
  for await (const event of events) {
    if (event.type === 'run' || event.type === 'done') states.push(event.run.row.state)
    if (event.type === 'step') {
      if (steps.has(event.step.step) || (steps.size > 0 && event.step.step !== Math.max(...steps.keys()) + 1)) doubles += 1
      steps.set(event.step.step, event.step.loss)
    }
    if (event.type === 'epoch') {
      if (epochs.has(event.epoch.epoch)) doubles += 1
      epochs.set(event.epoch.epoch, event.epoch.trainLoss)
    }
    if (event.type === 'resume') {
      for (const step of [...steps.keys()]) if (step > event.step) steps.delete(step)
      for (const epoch of [...epochs.keys()]) if (epoch * 5 > event.step) epochs.delete(epoch)
    }
  }
  return { steps, epochs, states, doubles }
}

test('who comes late is told the past, then what comes, until the run has ended', async () => {
  const world = await openTrainingWorld()
  await world.create()
  const early = collect(world.runs().watch('run-0', staying))
  const trainer = await world.trainer(1)
  trainer.send(plan, stepOf(1), stepOf(2))
  await until(async () => (await world.runs().get('run-0')).row.step === 2)
  const late = collect(world.runs().watch('run-0', staying))
  trainer.send(stepOf(3), epochOf(1, { step: 3 }), endOf('completed', 3, await world.adapterOf(trainer)))
  for (const seen of [await early, await late]) {
    expect([...seen.steps.keys()]).toEqual([1, 2, 3])
    expect([...seen.epochs.keys()]).toEqual([1])
    expect(seen.states.at(-1)).toBe('completed')
    expect(seen.doubles).toBe(0)
  }
  // Told when it changes, not with each step.
  expect((await late).states).toEqual(['running', 'completed', 'completed'])
  const afterwards = await collect(world.runs().watch('run-0', staying))
  expect([afterwards.states, afterwards.steps.size]).toEqual([['completed', 'completed'], 3])
})

test('what is learned up to a checkpoint is stored with it, however much is gathered otherwise', async () => {
  const world = await openTrainingWorld({ gatherMs: 60_000 })
  const { row } = await world.create()
  const trainer = await world.trainer(1)
  trainer.send(plan, stepOf(1), stepOf(2), { type: 'train-checkpoint', step: 2 }, stepOf(3))
  const stored = async () =>
    (await world.db.selectFrom('trainingSteps').select('step').where('runId', '=', row.id).execute()).length
  await expect.poll(stored).toBe(2)
  expect(await world.runs().get(row.id)).toMatchObject({ row: { step: 2, checkpointStep: 2 } })
})

test('more steps than are read at once come whole and in order, stored in few writings', async () => {
  const world = await openTrainingWorld({ gatherMs: 500 })
  await world.create()
  const trainer = await world.trainer(1)
  const seen = collect(world.runs().watch('run-0', staying))
  trainer.send(...Array.from({ length: 1300 }, (_, index) => stepOf(index + 1)))
  trainer.send(endOf('completed', 1300, await world.adapterOf(trainer)))
  const { steps, doubles } = await seen
  expect([steps.size, doubles]).toEqual([1300, 0])
})

test('steps that come quickly are stored together, and none waits longer than half a second', async () => {
  const world = await openTrainingWorld({ gatherMs: 500 })
  await world.create()
  const trainer = await world.trainer(1)
  const stored = async () => (await world.runs().get('run-0')).row.step
  trainer.send(stepOf(1))
  await until(async () => (await stored()) === 1)
  trainer.send(stepOf(2), stepOf(3))
  await world.clock.awaited(500)
  expect(await stored()).toBe(1)
  world.clock.advance(500)
  await until(async () => (await stored()) === 3)
})

test('who leaves is told nothing more; a run that is not there is not found', async () => {
  const world = await openTrainingWorld()
  await world.create()
  const leaving = new AbortController()
  const seen = collect(world.runs().watch('run-0', leaving.signal))
  await world.trainer(1)
  leaving.abort()
  expect((await seen).states).not.toContain('completed')
  await expect(world.runs().watch('nowhere', staying).next()).rejects.toMatchObject({ code: 'not_found' })
})

test('the watch ends with the service, and with the removal of the run', async () => {
  const world = await openTrainingWorld()
  await world.create()
  await world.create()
  const trainer = await world.trainer(1)
  const removed = expect(collect(world.runs().watch('run-1', staying))).rejects.toMatchObject({ code: 'not_found' })
  await world.runs().remove('run-1')
  await removed
  const seen = collect(world.runs().watch('run-0', staying))
  const closing = world.close()
  await until(() => trainer.told.includes('stop'))
  trainer.send(endOf('stopped', 0))
  await closing
  expect((await seen).states.at(-1)).toBe('interrupted')
})

test('whoever watches sees in the end what is stored, whatever was repeated after whichever checkpoint', {
  timeout: 60_000,
}, async () => {
  const lives = fc.array(fc.record({ back: fc.nat({ max: 6 }), steps: fc.nat({ max: 8 }), told: fc.boolean() }), {
    minLength: 1,
    maxLength: 4,
  })
  await fc.assert(
    fc.asyncProperty(lives, async (script) => {
      const world = await openTrainingWorld()
      await world.create()
      const watchers = [collect(watchAll(world))]
      let step = 0
      for (const [index, { back, steps, told }] of script.entries()) {
        const trainer = await world.trainer(index + 1)
        const from = Math.max(0, step - back)
        if (told && index > 0) trainer.send({ type: 'train-resume', step: from })
        for (step = from; step < from + steps; step += 1) {
          trainer.send(stepOf(step + 1, { loss: index * 100 + step + 1 }))
          if ((step + 1) % 5 === 0) trainer.send(epochOf((step + 1) / 5, { trainLoss: index }))
        }
        if (index % 2 === 0) watchers.push(collect(watchAll(world)))
        if (index < script.length - 1) {
          trainer.fail(new AppError('unavailable', 'killed'))
          await until(async () => (await world.stateOf('run-0')) === 'failed')
          await world.runs().resume('run-0')
        } else trainer.send(endOf('completed', step, await world.adapterOf(trainer)))
      }
      await until(async () => (await world.stateOf('run-0')) === 'completed')
      const last = await world.db.selectFrom('trainingSteps').select(['step', 'loss']).orderBy('step').execute()
      for (const watcher of watchers) {
        const seen = await watcher
        expect([...seen.steps]).toEqual(last.map(({ step, loss }) => [step, loss]))
        expect(seen.doubles).toBe(0)
      }
      await world.close()
    }),
    { numRuns: 12 },
  )
})

/** Comes again after each rest, until the run is completed, and goes on believing. */
async function* watchAll(world: Awaited<ReturnType<typeof openTrainingWorld>>): AsyncGenerator<WatchEvent> {
  let known = 0
  for (;;) {
    for await (const event of world.runs().watch('run-0', staying)) {
      // Each time the past comes first.
      if (event.type === 'step' && known === 0) yield { type: 'resume', step: 0 }
      if (event.type === 'step') known += 1
      yield event
      if (event.type === 'done' && event.run.row.state === 'completed') {
        if (known === 0) yield { type: 'resume', step: 0 }
        return
      }
    }
    known = 0
    await new Promise((resolve) => setImmediate(resolve))
  }
}
