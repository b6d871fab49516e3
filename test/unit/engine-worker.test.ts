import { setImmediate } from 'node:timers/promises'
import { expect, test } from 'vitest'
import type { FromWorker, GenerationEvent } from '../../src/engine/local/protocol.ts'
import { createWorker } from '../../src/engine/local/worker-core.ts'
import { askEngine, createFakeModel, createScriptedBackend, type Script } from '../fake-engine.ts'

const load = {
  path: 'fake',
  contextSize: undefined,
  cacheType: 'auto',
  maxParallel: 4,
  threads: 1,
  speculates: false,
  device: 'cpu',
} as const

/** A worker whose steps take so many milliseconds, by a clock of its own; what it tells, message by message. */
function startWorker(script: Script, stepMs: number) {
  const told: (readonly GenerationEvent[])[] = []
  let nowMs = 0
  let pauses = 0
  let running = 0
  let beforePause: (pause: number) => void = () => {}
  const ended = Promise.withResolvers<void>()
  const worker = createWorker({
    open: () => ({ backend: createScriptedBackend({ answer: () => script }), model: createFakeModel() }),
    send(message: FromWorker) {
      if (message.type !== 'events') return
      if (message.events.length > 0) told.push(message.events)
      running -= message.events.filter(({ type }) => type === 'generation-end').length
      if (running === 0) ended.resolve()
    },
    async pause() {
      beforePause(pauses++)
      nowMs += stepMs
      await setImmediate()
    },
    now: () => nowMs,
    residentBytes: () => 1,
    fail: ended.reject,
  })
  worker.receive({ type: 'model-load', options: load })
  return {
    told,
    begin(id: number, prompt: string) {
      running += 1
      worker.receive({ type: 'generation-start', id, options: askEngine(prompt) })
    },
    onPause(listener: (pause: number) => void) {
      beforePause = listener
    },
    ended: ended.promise,
  }
}

const textsOf = (events: readonly GenerationEvent[], id = 1) =>
  events.flatMap((event) => (event.type === 'text-delta' && event.id === id ? [event.text] : []))

const letters = [...'abcdefg']

test('texts of short steps are told two at a time, the first one and the end at once', async () => {
  const worker = startWorker({ pieces: letters }, 12)
  worker.begin(1, 'x')
  await worker.ended
  expect(worker.told.map((events) => textsOf(events).join(''))).toEqual(['a', 'bc', 'de', 'fg', ''])
  expect(worker.told.at(-1)?.at(-1)).toMatchObject({ type: 'generation-end' })
})

test('texts of long steps are told one by one', async () => {
  const worker = startWorker({ pieces: letters }, 20)
  worker.begin(1, 'x')
  await worker.ended
  expect(worker.told.flatMap((events) => textsOf(events))).toEqual(letters)
  expect(worker.told.slice(0, letters.length).map((events) => textsOf(events).length)).toEqual(letters.map(() => 1))
})

test('nobody waits for the prompt of another one: what was held back is told before it is read', async () => {
  const worker = startWorker({ pieces: letters }, 12)
  // After the second step, whose text is held back.
  worker.onPause((pause) => {
    if (pause === 1) worker.begin(2, 'another')
  })
  worker.begin(1, 'x')
  await worker.ended
  expect(worker.told.slice(0, 2).map((events) => textsOf(events))).toEqual([['a'], ['b']])
  expect(worker.told.flatMap((events) => textsOf(events))).toEqual(letters)
  expect(worker.told.flatMap((events) => textsOf(events, 2))).toEqual(letters)
})
