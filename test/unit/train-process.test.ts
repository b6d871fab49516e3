import { spawnSync } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readGgufHeader } from '../../src/engine/gguf/gguf-header.ts'
import type { FromTrainer, ToTrainer, TrainEvent, TrainJob } from '../../src/engine/train/protocol.ts'
import { createMessageControl } from '../../src/engine/train/train-control.ts'
import { runTraining, spawnTrainer, type TrainerChild } from '../../src/engine/train/train-process.ts'
import { adaptableModules } from '../../src/engine/train/trainable.ts'
import { writeTinyModel } from '../tiny-models.ts'
import { createToyJob } from '../toy-training.ts'

const folder = await mkdtemp(join(tmpdir(), 'simpleia-train-process-'))
afterAll(() => rm(folder, { recursive: true }))

let modelPath: string
beforeAll(async () => {
  modelPath = await writeTinyModel('qwen3', folder)
})

async function tinyJob(): Promise<TrainJob> {
  const job = await createToyJob({ folder: await mkdtemp(join(folder, 'run-')), parameters: { epochs: 3 } })
  return { ...job, modelPath, parameters: { ...job.parameters, rank: 4, modules: adaptableModules, maxLength: 256 } }
}

const processes = () =>
  spawnSync('ps', ['--ppid', String(process.pid), '-o', 'stat=,args='], { encoding: 'utf8' })
    .stdout.split('\n')
    .filter((line) => line.includes('train-worker'))
const never = new AbortController().signal

describe.skipIf(process.platform !== 'linux')('the process of a training', () => {
  test('stands still at once when it is told to, goes on, and is gone when the training is over', async () => {
    const run = runTraining(await tinyJob(), { spawn: () => spawnTrainer(() => {}), signal: never })
    let last: TrainEvent | undefined
    for await (const event of run.events) {
      last = event
      if (event.type !== 'train-step' || event.step !== 2) continue
      run.pause()
      await expect.poll(processes).toEqual([expect.stringMatching(/^T/)])
      run.resume()
    }
    expect(last).toMatchObject({ type: 'train-end', reason: 'completed', step: 9 })
    const { metadata } = await readGgufHeader(last?.type === 'train-end' ? (last.adapterFile ?? '') : '')
    const told = ['general.name', 'general.base_model.0.name', 'simpleia.training_run'].map((key) => metadata.get(key))
    expect(told).toEqual(['toy', 'model', 'run-1'])
    expect(processes()).toEqual([])
  })

  test('writes a checkpoint and ends when it is stopped while it stands still', async () => {
    const run = runTraining(await tinyJob(), { spawn: () => spawnTrainer(() => {}), signal: never })
    const types: string[] = []
    let step = 0
    for await (const event of run.events) {
      types.push(event.type)
      if (event.type === 'train-end') expect(event).toMatchObject({ reason: 'stopped', adapterFile: undefined })
      if (event.type === 'train-step') step = event.step
      if (event.type !== 'train-step' || event.step !== 1) continue
      run.pause()
      run.stop()
    }
    expect(types.slice(-2)).toEqual(['train-checkpoint', 'train-end'])
    expect(step).toBeLessThan(9)
  })

  test('fails with what the job failed with', async () => {
    const job = { ...(await tinyJob()), memoryBytes: 1 }
    const run = runTraining(job, { spawn: () => spawnTrainer(() => {}), signal: never })
    await expect(run.events.next()).rejects.toMatchObject({ code: 'too_large' })
    expect(processes()).toEqual([])
  })
})

/** A process that does what it is told in no time, where processes cannot be made to stand still. */
function createScriptedChild(sent: ToTrainer['type'][]): TrainerChild {
  let tell = (_message: FromTrainer) => {}
  let exit = (_reason: string) => {}
  return {
    send(message) {
      sent.push(message.type)
      if (message.type !== 'train-start') return
      tell({ type: 'trainer-ready' })
      tell({ type: 'train-checkpoint', step: 1 })
    },
    kill: () => exit('SIGKILL'),
    onMessage: (listener) => {
      tell = listener
    },
    onExit: (listener) => {
      exit = listener
    },
    pause: () => false,
    goOn: () => {},
  }
}

test('a training is told by messages to wait where its process cannot be made to stand still', async () => {
  const sent: ToTrainer['type'][] = []
  const gone = new AbortController()
  const run = runTraining(await tinyJob(), { spawn: () => createScriptedChild(sent), signal: gone.signal })
  run.pause()
  await run.events.next()
  run.resume()
  run.resume()
  run.stop()
  gone.abort()
  await expect(run.events.next()).rejects.toMatchObject({ code: 'aborted' })
  expect(sent).toEqual(['train-start', 'train-pause', 'train-go-on', 'train-stop'])
})

test('a process is not made to stand still before it would end with its parent, but as soon as it would', async () => {
  const told: string[] = []
  let tell = (_message: FromTrainer) => {}
  const gone = new AbortController()
  const child: TrainerChild = {
    ...createScriptedChild([]),
    send: ({ type }) => void told.push(type),
    onMessage(listener) {
      tell = listener
    },
    pause: () => told.push('pause') > 0,
    goOn: () => void told.push('go on'),
  }
  const run = runTraining(await tinyJob(), { spawn: () => child, signal: gone.signal })
  run.pause()
  const first = run.events.next()
  expect(told).toEqual(['train-start'])
  run.resume()
  run.pause()
  expect(told).toEqual(['train-start'])
  tell({ type: 'trainer-ready' })
  expect(told).toEqual(['train-start', 'pause'])
  tell({ type: 'train-checkpoint', step: 1 })
  expect(await first).toMatchObject({ value: { type: 'train-checkpoint' } })
  run.resume()
  expect(told).toEqual(['train-start', 'pause', 'go on', 'train-go-on'])
  gone.abort()
  await expect(run.events.next()).rejects.toMatchObject({ code: 'aborted' })
})

test('a loop that is told to wait goes on when it is told so, or to stop', async () => {
  for (const message of ['train-go-on', 'train-stop'] as const) {
    const control = createMessageControl()
    control.receive({ type: 'train-pause' })
    let isRunning = false
    const waiting = control.whenRunning().then(() => {
      isRunning = true
    })
    await new Promise(setImmediate)
    expect(isRunning).toBe(false)
    control.receive({ type: message })
    await waiting
    expect(control.isStopped()).toBe(message === 'train-stop')
  }
})
