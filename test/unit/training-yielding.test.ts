import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { createActivity, watchWork } from '../../src/engine/activity.ts'
import { AppError } from '../../src/errors.ts'
import { yieldToWork } from '../../src/training/yielding.ts'
import { createFakeClock } from '../fake-clock.ts'
import { fakeRerankers } from '../fake-embedder.ts'
import { createFakeModel, embeddersOf } from '../fake-models.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { endOf, epochOf, stepOf } from '../trainer.ts'
import { openTrainingWorld, until } from '../training-world.ts'

/** Something that can stand still, and notes when it was told to. */
function createPausable() {
  const told: string[] = []
  return {
    told,
    isStill: () => told.at(-1) === 'pause',
    pause: () => void told.push('pause'),
    resume: () => void told.push('resume'),
  }
}

function openYielding(calmMs = 300) {
  const clock = createFakeClock()
  const activity = createActivity(clock.now)
  const process = createPausable()
  const yielding = yieldToWork({ activity, clock, calmMs }, process)
  return { clock, activity, process, yielding }
}

describe('training', () => {
  test('stands still from the moment in which a request begins, until it has been calm for a while', () => {
    const { clock, activity, process, yielding } = openYielding()
    expect(process.told).toEqual([])
    const end = activity.begin()
    expect(process.told).toEqual(['pause'])
    clock.advance(1000)
    end()
    clock.advance(299)
    expect(process.told).toEqual(['pause'])
    clock.advance(1)
    expect(process.told).toEqual(['pause', 'resume'])
    expect(yielding.yieldedMs()).toBe(1300)
    clock.advance(5000)
    expect(yielding.yieldedMs()).toBe(1300)
  })

  test('stays still between requests that come one after the other, and while one of several works', () => {
    const { clock, activity, process } = openYielding()
    const [first, second] = [activity.begin(), activity.begin()]
    first()
    first()
    clock.advance(1000)
    expect(process.told).toEqual(['pause'])
    second()
    clock.advance(200)
    activity.begin()()
    clock.advance(299)
    expect(process.told).toEqual(['pause'])
    clock.advance(1)
    expect(process.told).toEqual(['pause', 'resume'])
  })

  test('does not begin while a request works, or shortly after one', () => {
    const clock = createFakeClock()
    const activity = createActivity(clock.now)
    const end = activity.begin()
    const during = createPausable()
    yieldToWork({ activity, clock, calmMs: 300 }, during)
    clock.advance(10)
    end()
    clock.advance(100)
    const after = createPausable()
    yieldToWork({ activity, clock, calmMs: 300 }, after)
    expect([during.told, after.told]).toEqual([['pause'], ['pause']])
    clock.advance(200)
    expect([during.told, after.told]).toEqual([
      ['pause', 'resume'],
      ['pause', 'resume'],
    ])
  })

  test('is still while anything works and goes on once it is calm, whatever comes in which order', () => {
    const steps = fc.array(fc.oneof(fc.constant('begin' as const), fc.constant('end' as const), fc.integer({ min: 1, max: 700 })))
    fc.assert(
      fc.property(steps, (script) => {
        const { clock, activity, process, yielding } = openYielding()
        const open: Array<() => void> = []
        for (const step of script) {
          if (step === 'begin') open.push(activity.begin())
          else if (step === 'end') open.shift()?.()
          else clock.advance(step)
          if (open.length > 0) expect(process.isStill()).toBe(true)
          else expect(process.isStill()).toBe(clock.now() < activity.lastEnd() + 300)
        }
        yielding.end()
        expect(process.isStill()).toBe(false)
        for (const end of open) end()
        clock.advance(10_000)
        activity.begin()
        expect(process.isStill()).toBe(false)
      }),
    )
  })

  test('is never left still: not by its end, nor by a failure, nor by a stop', async () => {
    for (const how of ['end', 'fail', 'stop'] as const) {
      const world = await openTrainingWorld()
      await world.create()
      const trainer = await world.trainer(1)
      trainer.send(stepOf(1))
      await until(async () => (await world.runs().get('run-0')).row.step === 1)
      const end = world.activity.begin()
      expect(trainer.isStill()).toBe(true)
      expect((await world.runs().get('run-0')).isYielding).toBe(true)
      if (how === 'end') trainer.send(endOf('completed', 1, await world.adapterOf(trainer)))
      if (how === 'fail') trainer.fail(new AppError('unprocessable', 'NaN'))
      if (how === 'stop') {
        const pausing = world.runs().pause('run-0')
        await until(() => trainer.told.includes('stop'))
        // It must write its checkpoint.
        expect(trainer.told).toEqual(['pause', 'resume', 'stop'])
        trainer.send(endOf('stopped', 1))
        await pausing
      }
      await until(() => trainer.isOver())
      expect(trainer.isStill()).toBe(false)
      end()
    }
  })

  test('counts the time in which it stood still apart, and no step takes it for its own', async () => {
    const world = await openTrainingWorld()
    await world.create()
    const trainer = await world.trainer(1)
    await until(() => world.clock.now() === 0)
    world.clock.advance(50)
    trainer.send(stepOf(1, { ms: 50 }))
    await until(async () => (await world.runs().get('run-0')).row.step === 1)
    const end = world.activity.begin()
    world.clock.advance(9700)
    end()
    world.clock.advance(300)
    world.clock.advance(60)
    trainer.send(stepOf(2, { ms: 10_060 }))
    await until(async () => (await world.runs().get('run-0')).row.step === 2)
    const { row, recent } = await world.runs().get('run-0')
    expect(row).toMatchObject({ trainedMs: 110, yieldedMs: 10_000 })
    expect(recent.map(({ ms }) => ms)).toEqual([50, 60])
  })

  test('does not take the time of an evaluation for that of the step after it', async () => {
    const world = await openTrainingWorld()
    await world.create()
    const trainer = await world.trainer(1)
    trainer.send(stepOf(1, { ms: 50 }))
    await until(async () => (await world.runs().get('run-0')).row.step === 1)
    world.clock.advance(5000)
    trainer.send(epochOf(1, { step: 1 }))
    await until(async () => (await world.runs().get('run-0')).row.bestStep === 1)
    const end = world.activity.begin()
    world.clock.advance(9700)
    end()
    world.clock.advance(300)
    world.clock.advance(60)
    trainer.send(stepOf(2, { ms: 10_060 }))
    await until(async () => (await world.runs().get('run-0')).row.step === 2)
    expect((await world.runs().get('run-0')).recent.map(({ ms }) => ms)).toEqual([50, 60])
  })
})

test('whatever models of this machine do is told while they do it', async () => {
  const activity = createActivity(() => 0)
  const states: boolean[] = []
  const working: boolean[] = []
  activity.subscribe((isBusy) => states.push(isBusy))
  const note = () => void working.push(activity.isBusy())
  const host = createScriptedHost(function* () {
    note()
    yield generationEnd()
  })
  const model = createFakeModel({ before: note })
  const embedders = { ...embeddersOf(model) }
  const watched = watchWork({ host, embedders, rerankers: fakeRerankers }, activity)
  const { signal } = new AbortController()
  const request = {
    model: 'scripted',
    prompt: { type: 'text', text: 'a' },
    maxTokens: 1,
    choices: 1,
    stop: [],
    user: 'a',
  } as const
  const sampling = { temperature: 0, topP: 1, topK: 0, minP: 0, repeatPenalty: 1, seed: 1 }
  for await (const _event of watched.host.generate({ ...request, sampling }, signal));
  await watched.embedders.usual.encode({ texts: ['a'], truncate: true }, signal)
  expect(await watched.embedders.find(model.name)).toBe(watched.embedders.usual)
  await watched.host.load('scripted')
  expect(working).toEqual([true, true])
  expect(states).toEqual([true, false, true, false, true, false])
  // Whoever leaves in the middle ends the work.
  for await (const _event of watched.host.generate({ ...request, sampling }, signal)) break
  expect(activity.isBusy()).toBe(false)
})
