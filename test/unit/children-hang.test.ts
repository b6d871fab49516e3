import { type ChildProcess, spawn } from 'node:child_process'
import { EventEmitter } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { createInterface } from 'node:readline'
import { describe, expect, onTestFinished, test } from 'vitest'
import { runProgram } from '../../src/cli/run-program.ts'
import { openEmbedProcess } from '../../src/engine/local/embed-process.ts'
import type { FromEmbedWorker, ToEmbedWorker } from '../../src/engine/local/embed-protocol.ts'
import { type Engine, openEngine } from '../../src/engine/local/engine-process.ts'
import { type ProcessActivity, readActivity } from '../../src/engine/local/process-activity.ts'
import { createProcessEnd } from '../../src/engine/local/process-end.ts'
import type { FromWorker, LoadOptions, ToWorker } from '../../src/engine/local/protocol.ts'
import { runMeasurement, runQuantization } from '../../src/engine/local/quantize-process.ts'
import type { FromQuantizer, ToQuantizer } from '../../src/engine/local/quantize-protocol.ts'
import type { PausableChild } from '../../src/engine/local/spawn-process.ts'
import { createVectorIndex, spawnVectorIndex, type VectorChild } from '../../src/engine/local/vector-process.ts'
import type { FromVectorWorker, ToVectorWorker } from '../../src/engine/local/vector-protocol.ts'
import { lookMs, stillLooks, usualSilenceMs, type WatchParts } from '../../src/engine/local/watch-child.ts'
import { runMerge } from '../../src/engine/train/merge-process.ts'
import type { FromMerger, ToMerger } from '../../src/engine/train/merge-protocol.ts'
import type { FromTrainer, ToTrainer, TrainJob } from '../../src/engine/train/protocol.ts'
import { runScoring } from '../../src/engine/train/score-process.ts'
import type { FromScorer, ToScorer } from '../../src/engine/train/score-protocol.ts'
import { defaultTrainParameters } from '../../src/engine/train/train-parameters.ts'
import { runTraining } from '../../src/engine/train/train-process.ts'
import { type ConverterChild, runConversion } from '../../src/models/convert/convert-process.ts'
import type { FromConverter, ToConverter } from '../../src/models/convert/convert-protocol.ts'
import { createFakeClock } from '../fake-clock.ts'
import { askEngine, createFakeModel } from '../fake-engine.ts'

const never = new AbortController().signal
const still: ProcessActivity = { cpuTicks: 0, diskReads: 0, isAtWork: false }

/** A process that is none: it answers some messages, and else says nothing until it is told to. */
function createMute<To, From>(answers: (message: To) => readonly From[] = () => []) {
  let onMessage = (_message: From) => {}
  let onExit = (_reason: string) => {}
  const ended: Array<string | undefined> = []
  const child: PausableChild<To, From> = {
    pid: 1,
    send(message) {
      for (const answer of answers(message)) queueMicrotask(() => onMessage(answer))
    },
    kill(reason) {
      ended.push(reason)
      queueMicrotask(() => onExit('SIGKILL'))
    },
    pause: () => true,
    goOn() {},
    onMessage(listener) {
      onMessage = listener
    },
    onExit(listener) {
      onExit = listener
    },
  }
  return { child, ended, say: (message: From) => onMessage(message) }
}

/** Time that goes by looks, and what the system tells at each. */
function createWatching(activity: () => ProcessActivity | undefined = () => still) {
  const clock = createFakeClock()
  const watching: WatchParts = { clock, readActivity: async () => activity() }
  return {
    watching,
    clock,
    async look(times: number): Promise<void> {
      for (let time = 0; time < times; time += 1) {
        await clock.awaited(lookMs)
        clock.advance(lookMs)
      }
      await new Promise(setImmediate)
    },
  }
}

const loadOptions: LoadOptions = {
  path: 'model.gguf',
  contextSize: undefined,
  cacheType: 'auto',
  maxParallel: 1,
  threads: 1,
  speculates: false,
  device: 'cpu',
}
const startOptions = askEngine('x', 5)
const embedModel = {
  kind: 'embedding',
  files: { type: 'gguf', path: 'embed.gguf' },
  prefixes: { query: '', document: '' },
  threads: 1,
} as const
const trainJob: TrainJob = {
  modelPath: 'model.gguf',
  adapter: { name: 'a', baseModel: 'model', run: 'run' },
  folder: 'run',
  trainFile: 'train.jsonl',
  heldOutFile: 'held.jsonl',
  replayFile: undefined,
  parameters: defaultTrainParameters,
  threads: 1,
  device: 'cpu',
  memoryBytes: 1e9,
}
const quantization = 'Q4_K_M'
const quantizeJob = { source: 'a', target: 'b', quantization, calibrationText: undefined, threads: 1 } as const

async function readAll(events: AsyncIterable<unknown>): Promise<void> {
  for await (const _event of events);
}

const isLoad = ({ type }: Readonly<{ type: string }>) => type === 'model-load'
const mutes = {
  engine: () => createMute<ToWorker, FromWorker>((m) => (isLoad(m) ? [{ type: 'model-ready', model: createFakeModel() }] : [])),
  embedder: () => createMute<ToEmbedWorker, FromEmbedWorker>((m) => (isLoad(m) ? [{ type: 'model-ready', maxTokens: 9 }] : [])),
}

type Asked = Readonly<{ ended: readonly (string | undefined)[]; outcome: Promise<unknown> }>

async function withEngine(watching: WatchParts, ask: (engine: Engine) => Promise<unknown>): Promise<Asked> {
  const { child, ended } = mutes.engine()
  return { ended, outcome: ask(await openEngine(child, loadOptions, undefined, watching)) }
}

function job<To, From>(run: (spawn: () => PausableChild<To, From>) => Promise<unknown>): Asked {
  const { child, ended } = createMute<To, From>()
  return { ended, outcome: run(() => child) }
}

/** Each kind of process that the service starts, asked for something that it never answers. */
const kinds: Readonly<Record<string, (watching: WatchParts) => Asked | Promise<Asked>>> = {
  'an engine that loads': (watching) =>
    job<ToWorker, FromWorker>((start) => openEngine(start(), loadOptions, undefined, watching)),
  'an engine that answers': (watching) =>
    withEngine(watching, (engine) => {
      const { promise, reject } = Promise.withResolvers<never>()
      engine.start(startOptions, (event) => reject(event))
      return promise
    }),
  'an engine that counts tokens': (watching) => withEngine(watching, (engine) => engine.countTokens([])),
  'an engine that loads an adapter': (watching) =>
    withEngine(watching, (engine) => engine.loadAdapter({ name: 'a', path: 'a.gguf', identity: 'a' })),
  'an embedding model that loads': (watching) =>
    job<ToEmbedWorker, FromEmbedWorker>((start) => openEmbedProcess(start(), embedModel, watching)),
  async 'an embedding model or reranker'(watching) {
    const { child, ended } = mutes.embedder()
    const { embed } = await openEmbedProcess(child, embedModel, watching)
    return { ended, outcome: embed({ type: 'embed-start', texts: ['x'], truncate: false }, never) }
  },
  'the search of vectors'(watching) {
    const { child, ended } = createMute<ToVectorWorker, FromVectorWorker>()
    const index = createVectorIndex({ spawn: () => child, readVectors: async function* () {}, maxWaiting: 9, watching })
    return { ended, outcome: index.search({ key: 'a', dimensions: 2 }, { vector: new Float32Array([1, 0]), k: 1 }, never) }
  },
  'a quantization': (watching) =>
    job<ToQuantizer, FromQuantizer>((start) => readAll(runQuantization(quantizeJob, { spawn: start, signal: never, watching }))),
  'a measurement': (watching) =>
    job<ToQuantizer, FromQuantizer>((start) => {
      const measured = { original: 'a', result: undefined, text: 'x', threads: 1 }
      return readAll(runMeasurement(measured, { spawn: start, signal: never, watching }))
    }),
  'a merge': (watching) =>
    job<ToMerger, FromMerger>((start) => {
      const merged = { basePath: 'a', adapterPath: 'b', target: '/nowhere/merged.gguf', outputType: 'F16' } as const
      return readAll(runMerge(merged, { spawn: start, signal: never, watching }))
    }),
  'the scoring of an evaluation': (watching) =>
    job<ToScorer, FromScorer>((start) => {
      const scored = { modelPath: 'a', adapterPath: undefined, examplesFile: 'e.jsonl', maxLength: 9, threads: 1 }
      return readAll(runScoring(scored, { spawn: start, signal: never, watching }))
    }),
  'a training': (watching) =>
    job<ToTrainer, FromTrainer>((start) => readAll(runTraining(trainJob, { spawn: start, signal: never, watching }).events)),
  'a conversion': (watching) =>
    job<ToConverter, FromConverter>((start) => {
      const startConverter = () => {
        const child = start()
        const onExit: ConverterChild['onExit'] = (listener) => child.onExit((reason) => listener(reason, ''))
        return { ...child, onExit }
      }
      return runConversion({ folder: '/nowhere', outputType: 'auto' }, () => {}, undefined, startConverter, watching)
    }),
}

const [longMs, trainingMs] = [usualSilenceMs, 6 * 3600_000]

describe.each(Object.entries(kinds))('%s', (name, ask) => {
  test('that does nothing is ended within a minute, and who waits is told why', async () => {
    const { watching, look } = createWatching()
    const { ended, outcome } = await ask(watching)
    const failure = outcome.then(
      () => undefined,
      (error: unknown) => error,
    )
    await look(stillLooks)
    expect(ended).toEqual([])
    await look(1)
    expect(await failure).toMatchObject({
      code: 'unavailable',
      message: expect.stringContaining('it did nothing for 30 seconds'),
    })
    expect(ended.length).toBeGreaterThan(0)
  })

  test.each(['computes', 'runs where the system does not tell'])('that %s may take long, and not for ever', async (how) => {
    let cpuTicks = 0
    const { watching, look } = createWatching(() => {
      cpuTicks += 400
      return how === 'computes' ? { ...still, cpuTicks } : undefined
    })
    const { ended, outcome } = await ask(watching)
    const failure = outcome.catch((error: unknown) => error)
    const looks = (name === 'a training' ? trainingMs : longMs) / lookMs
    await look(looks - 1)
    expect(ended).toEqual([])
    // Some have said at the beginning that they are ready.
    for (let more = 0; more < 2 && ended.length === 0; more += 1) await look(1)
    expect(await failure).toMatchObject({ code: 'unavailable', message: expect.stringContaining('nothing was heard of it') })
  })
})

test.each([
  ['waits for a disk', { ...still, isAtWork: true }],
  ['reads from a disk', { ...still, diskReads: 1 }],
])('a process that %s does not hang', async (_how, activity) => {
  let { diskReads } = activity
  const { watching, look } = createWatching(() => {
    diskReads += activity.diskReads
    return { ...activity, diskReads }
  })
  const { child, ended } = createMute<ToWorker, FromWorker>()
  void openEngine(child, loadOptions, undefined, watching).catch(() => {})
  await look(5 * stillLooks)
  expect(ended).toEqual([])
})

test('a process without work may do nothing, and one that says something now and then, too', async () => {
  const { watching, look } = createWatching()
  const { child, ended, say } = mutes.engine()
  const engine = await openEngine(child, loadOptions, undefined, watching)
  await look(5 * stillLooks)
  engine.start(startOptions, () => {})
  for (let time = 0; time < 5; time += 1) {
    await look(stillLooks)
    say({ type: 'events', events: [] })
  }
  await look(1)
  expect(ended).toEqual([])
})

test('a process that hangs is noticed, however soon its callers lose patience', async () => {
  const { watching, look } = createWatching()
  const { child, ended } = mutes.embedder()
  const { embed } = await openEmbedProcess(child, embedModel, watching)
  await look(1)
  for (let time = 0; ended.length === 0 && time < 20; time += 1) {
    const leaving = new AbortController()
    const asked = embed({ type: 'embed-start', texts: ['x'], truncate: false }, leaving.signal).catch(() => {})
    await look(1)
    leaving.abort()
    await asked
    if (ended.length === 0) await look(1)
  }
  expect(ended).toEqual(['it did nothing for 30 seconds'])
})

test('a training that stands still for others, or a job whose reader takes its time, does not hang', async () => {
  const training = createWatching()
  const trainer = createMute<ToTrainer, FromTrainer>()
  const run = runTraining(trainJob, { spawn: () => trainer.child, signal: never, watching: training.watching })
  const trained = readAll(run.events).catch((error: unknown) => error)
  run.pause()
  await training.look(5 * stillLooks)
  expect(trainer.ended).toEqual([])
  run.resume()
  await training.look(stillLooks + 1)
  expect(await trained).toMatchObject({ code: 'unavailable' })

  const scoring = createWatching()
  const scorer = createMute<ToScorer, FromScorer>(({ type }) =>
    type === 'score-start' ? [{ type: 'example-scored', index: 0, score: { type: 'left-out', reason: 'empty' } }] : [],
  )
  const scored = { modelPath: 'a', adapterPath: undefined, examplesFile: 'e.jsonl', maxLength: 9, threads: 1 }
  const events = runScoring(scored, { spawn: () => scorer.child, signal: never, watching: scoring.watching })
  await events.next()
  await scoring.look(5 * stillLooks)
  expect(scorer.ended).toEqual([])
  await events.return(undefined)
})

test('a process that no signal can end is given up after ten seconds, and keeps nobody waiting', async () => {
  const clock = createFakeClock()
  let isLetGo = false
  const child = Object.assign(new EventEmitter(), {
    connected: false,
    kill: () => true,
    unref() {
      isLetGo = true
    },
    disconnect() {},
  })
  const end = createProcessEnd(child, { clock })
  const ended = new Promise(end.onEnd)
  end.kill()
  await clock.awaited(10_000)
  clock.advance(10_000)
  expect(await ended).toBe('it could not be ended')
  expect(isLetGo).toBe(true)
})

/** Only Linux tells what a process does, and lets one that stands still be ended with its parent. */
describe.skipIf(process.platform !== 'linux')('on Linux', () => {
  /** A process that says that it runs, and then does something. */
  async function start(work: string): Promise<ChildProcess & { pid: number }> {
    const child = spawn(process.execPath, ['-e', `console.log('there'); ${work}`], { stdio: ['ignore', 'pipe', 'ignore'] })
    onTestFinished(() => void child.kill('SIGKILL'))
    for await (const _line of createInterface(child.stdout)) break
    const { pid } = child
    if (pid === undefined) throw new Error('It was not started.')
    return Object.assign(child, { pid })
  }

  test('a process that stands still or waits does nothing, and one that computes does', async () => {
    const [waiting, busy] = [await start('setInterval(() => {}, 1e6)'), await start('for (;;);')]
    await expect.poll(async () => (await readActivity(waiting.pid))?.isAtWork).toBe(false)
    const before = await readActivity(busy.pid)
    expect(before?.isAtWork).toBe(true)
    await expect.poll(async () => (await readActivity(busy.pid))?.cpuTicks).toBeGreaterThan(before?.cpuTicks ?? 0)
    busy.kill('SIGSTOP')
    await expect.poll(async () => (await readActivity(busy.pid))?.isAtWork).toBe(false)
    const stopped = await readActivity(busy.pid)
    expect(await readActivity(busy.pid)).toEqual(stopped)
    expect(await readActivity(2 ** 22)).toBeUndefined()
  })

  test('the process that finds vectors is replaced when it stands still, and ended with the service all the same', async () => {
    const children: VectorChild[] = []
    const log: string[] = []
    const watching: WatchParts = {
      // A look every 50 ms.
      clock: { after: (ms, run) => toStop(setTimeout(run, ms / 100)) },
      readActivity,
    }
    const spawnOne = () => {
      const child = spawnVectorIndex((text) => log.push(text))
      children.push(child)
      return child
    }
    const [space, query] = [
      { key: 'a', dimensions: 2 },
      { vector: new Float32Array([1, 0]), k: 1 },
    ]
    const readVectors = async function* () {
      yield { ids: [7], vectors: [new Float32Array([1, 0])] }
    }
    const index = createVectorIndex({ spawn: spawnOne, readVectors, maxWaiting: 9, watching })
    const hit = [{ id: 7, score: expect.closeTo(1) }]
    expect(await index.search(space, query, never)).toEqual(hit)
    stop(children[0])
    await expect(index.search(space, query, never)).rejects.toMatchObject({ code: 'unavailable' })
    expect(await index.search(space, query, never)).toEqual(hit)
    expect(children).toHaveLength(2)
    expect(log.join('')).toContain('it did nothing for 30 seconds')
    stop(children[1])
    await index.close()
    expect(() => process.kill(children[1]?.pid ?? 0, 0)).toThrow('ESRCH')
  })

  test('a program that the command line runs is ended with the work, even where it does not listen', async () => {
    const marker = join(await mkdtemp(join(tmpdir(), 'simpleia-program-')), 'there')
    onTestFinished(() => rm(dirname(marker), { recursive: true }))
    const leaving = new AbortController()
    const running = runProgram('sh', ['-c', `trap "" TERM; touch ${marker}; exec sleep 100`], leaving.signal, 50)
    await expect.poll(() => existsSync(marker)).toBe(true)
    leaving.abort()
    expect((await running).code).not.toBe(0)
  })

  function stop(child: VectorChild | undefined): void {
    process.kill(child?.pid ?? 0, 'SIGSTOP')
  }
  const toStop = (timer: NodeJS.Timeout) => () => clearTimeout(timer)
})
