import { expect, test } from 'vitest'
import { type RunParts, startRun } from '../../src/conversations/answer-run.ts'
import type { KeptMessage } from '../../src/conversations/message-rows.ts'
import type { AnswerEvent } from '../../src/conversations/write-answer.ts'
import { AppError } from '../../src/errors.ts'
import { noTimings } from '../scripted-host.ts'

const begun: KeptMessage = {
  ...{ id: 'a', parent_id: 'q', role: 'assistant', content: '', created_at: '2026-01-01T00:00:00.000Z', state: 'writing' },
}
const target = { provider: 'hf', model: 'scripted', ranOn: 'local', why: 'default', passedBy: [] } as const
const end: AnswerEvent = { type: 'end', reason: 'stop', predictionId: 'p', target, usage: undefined, timings: noTimings }
const never = new AbortController().signal

type Options = Partial<RunParts> & Readonly<{ script: (signal: AbortSignal) => AsyncIterable<AnswerEvent> }>

function start({ script, ...parts }: Options) {
  const saved: KeptMessage[] = []
  const run = startRun({
    message: begun,
    write: script,
    async save(message) {
      saved.push(message)
      return true
    },
    waitingFor: async () => 'model',
    isEnding: () => false,
    toAppError: (error) => (error instanceof AppError ? error : new AppError('internal', 'Something failed.')),
    saveEveryMs: 1,
    ...parts,
  })
  return { run, saved }
}

test('what is there is saved while it is written, and once more at the end', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const { run, saved } = start({
    async *script() {
      yield { type: 'text', text: 'one ' }
      await promise
      yield { type: 'text', text: 'two' }
      yield end
    },
  })
  await expect.poll(() => saved.map(({ content, state }) => [content, state])).toEqual([['one ', 'writing']])
  resolve()
  await run.ended
  expect(saved.at(-1)).toMatchObject({ content: 'one two', state: 'done', prediction_id: 'p', finish_reason: 'stop' })
})

test('what is waited for is told to those who follow, and no more once there is something', async () => {
  const { promise, resolve } = Promise.withResolvers<void>()
  const { run } = start({
    async *script() {
      yield { type: 'chosen', target }
      await promise
      yield { type: 'text', text: 'x' }
      yield end
    },
  })
  const early = run.follow(never)
  const first = [await early.next(), await early.next(), await early.next()].map(({ value }) => value)
  expect(first).toMatchObject([{ type: 'snapshot' }, { type: 'waiting', for: 'queue' }, { type: 'waiting', for: 'model' }])
  resolve()
  await run.ended
  expect((await Array.fromAsync(run.follow(never))).map(({ type }) => type)).toEqual(['snapshot', 'end'])
})

test('an answer whose row is gone is written no more', async () => {
  const { run } = start({
    save: async () => false,
    async *script(signal) {
      yield { type: 'text', text: 'x' }
      await new Promise((resolve) => signal.addEventListener('abort', resolve))
      throw new AppError('aborted', 'The caller left.')
    },
  })
  await run.ended
})

test('an answer that cannot be saved is told to have failed, with its text', async () => {
  const { run } = start({
    save: async () => {
      throw new AppError('storage_full', 'There is no room left.')
    },
    async *script() {
      yield { type: 'text', text: 'all of it' }
      yield end
    },
  })
  const events = await Array.fromAsync(run.follow(never))
  expect(events.at(-1)).toMatchObject({
    type: 'end',
    message: { content: 'all of it', state: 'failed', error: { code: 'storage_full' } },
  })
})

test('what fails while the service ends is interrupted; what fails otherwise has failed, with what is there', async () => {
  const script = async function* (): AsyncGenerator<AnswerEvent> {
    yield { type: 'text', text: 'half' }
    throw new AppError('unavailable', 'The engine died.')
  }
  for (const [isEnding, state] of [
    [true, 'interrupted'],
    [false, 'failed'],
  ] as const) {
    const { run, saved } = start({ script, isEnding: () => isEnding })
    await run.ended
    expect(saved.at(-1)).toMatchObject({ content: 'half', state })
  }
})

/** A disk that is full until it has room again. */
function createDisk() {
  const saved: KeptMessage[] = []
  const disk = { isFull: true, saved }
  const save = async (message: KeptMessage) => {
    if (disk.isFull) throw new AppError('storage_full', 'There is no room left.')
    saved.push(message)
    return true
  }
  return { disk, save }
}

const whole = async function* (): AsyncGenerator<AnswerEvent> {
  yield { type: 'text', text: 'all of it' }
  yield end
}

test('an answer for whose end there was no room is saved as it is once there is', async () => {
  const { disk, save } = createDisk()
  const { run } = start({ save, script: whole })
  await run.ended
  expect(run.message()).toMatchObject({ state: 'failed', content: 'all of it' })
  expect((await Array.fromAsync(run.follow(never))).map(({ type }) => type)).toEqual(['snapshot', 'end'])
  disk.isFull = false
  await run.saved
  expect(disk.saved).toMatchObject([{ content: 'all of it', state: 'done', finish_reason: 'stop' }])
})

test('a service that ends tries once more to save, and ends all the same', async () => {
  for (const isFull of [true, false]) {
    const { disk, save } = createDisk()
    const { run } = start({ save, script: whole })
    await run.ended
    disk.isFull = isFull
    await run.end('interrupted')
    expect(disk.saved.map(({ state }) => state)).toEqual(isFull ? [] : ['done'])
  }
})
