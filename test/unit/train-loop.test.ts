import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { TrainingExample } from '../../src/engine/train/example.ts'
import type { TrainEvent } from '../../src/engine/train/protocol.ts'
import { train } from '../../src/engine/train/train.ts'
import { adapterDigest, createToyJob, toyFacts, toyParts, trainToy } from '../toy-training.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simpleia-train-'))
})
afterEach(() => rm(folder, { recursive: true }))

type EventOf<T extends TrainEvent['type']> = Extract<TrainEvent, { type: T }>
function eventsOf<T extends TrainEvent['type']>(events: readonly TrainEvent[], type: T): readonly EventOf<T>[] {
  return events.filter((event): event is EventOf<T> => event.type === type)
}

describe('a training', () => {
  test('tells before the first step about how long it takes, by the time of one text', async () => {
    const secondsOf = async (epochs: number) => {
      const own = await mkdtemp(join(folder, 'run-'))
      let time = 0
      const job = await createToyJob({ folder: own, parameters: { epochs } })
      const [plan] = eventsOf(await trainToy(job, { now: () => (time += 5) }), 'train-plan')
      return plan?.seconds ?? 0
    }
    const two = await secondsOf(2)
    expect(two).toBeGreaterThan(0.005)
    expect(await secondsOf(4)).toBeCloseTo(2 * two, 6)
  })

  test('tells its plan, then each step, epoch and checkpoint, and ends with an adapter', async () => {
    const job = await createToyJob({ folder, parameters: { epochs: 2 } })
    const events = await trainToy(job)
    expect(events.map(({ type }) => type)).toEqual([
      'train-plan',
      ...Array.from({ length: 2 }, () => ['train-step', 'train-step', 'train-step', 'train-epoch', 'train-checkpoint']).flat(),
      'train-end',
    ])
    const [plan] = eventsOf(events, 'train-plan')
    expect(plan).toMatchObject({ examples: 9, tooLong: 0, empty: 0, heldOut: 0, steps: 6 })
    expect(plan?.parity.ours).toBeCloseTo(plan?.parity.reference ?? 0, 5)
    expect(events.at(-1)).toEqual({
      type: 'train-end',
      reason: 'completed',
      step: 6,
      bestStep: 6,
      heldOutLoss: undefined,
      adapterFile: join(folder, 'adapter.gguf'),
    })
  })

  test.each(['cosine', 'linear', 'constant'] as const)('learns with a %s schedule, packed or not', async (schedule) => {
    for (const packs of [true, false]) {
      const own = await mkdtemp(join(folder, 'run-'))
      const job = await createToyJob({ folder: own, parameters: { epochs: 20, schedule, packs } })
      const losses = eventsOf(await trainToy(job), 'train-epoch').map(({ trainLoss }) => trainLoss)
      expect(losses.at(-1)).toBeLessThan((losses[0] ?? 0) * 0.7)
    }
  })

  test('has the same loss for rows that are packed as for rows that are not', async () => {
    const runs = []
    for (const packs of [true, false]) {
      const own = await mkdtemp(join(folder, 'run-'))
      runs.push(eventsOf(await trainToy(await createToyJob({ folder: own, parameters: { epochs: 3, packs } })), 'train-step'))
    }
    const [packed = [], plain = []] = runs.map((steps) => steps.map(({ loss }) => loss))
    expect(packed).toHaveLength(9)
    for (const [index, loss] of packed.entries()) expect(loss).toBeCloseTo(plain[index] ?? 0, 5)
  })

  test('updates once for batches that are accumulated, as for one batch of all of them', async () => {
    const digests = []
    for (const [batchSize, accumulation] of [
      [4, 1],
      [2, 2],
    ] as const) {
      const own = await mkdtemp(join(folder, 'run-'))
      const events = await trainToy(await createToyJob({ folder: own, parameters: { epochs: 2, batchSize, accumulation } }))
      digests.push(eventsOf(events, 'train-step').map(({ loss }) => loss.toFixed(5)))
    }
    expect(digests[0]).toEqual(digests[1])
    expect(digests[0]).toHaveLength(6)
  })

  test('ends early and keeps the best adapter when the held-out loss rises', async () => {
    const opposite: TrainingExample = { type: 'text', text: 'zzzzqqqqzzzz' }
    const job = await createToyJob({ folder, heldOut: [opposite], parameters: { epochs: 50, patience: 2 } })
    const events = await trainToy(job)
    const epochs = eventsOf(events, 'train-epoch')
    const end = events.at(-1)
    expect(end).toMatchObject({ type: 'train-end', reason: 'early-stop' })
    const lowest = Math.min(...epochs.map(({ heldOutLoss }) => heldOutLoss ?? Number.POSITIVE_INFINITY))
    expect(end).toMatchObject({ heldOutLoss: lowest, bestStep: epochs.findLast(({ isBest }) => isBest)?.step })
    expect(epochs.slice(-2).map(({ isBest }) => isBest)).toEqual([false, false])
  })

  test('counts examples by their weights, and leaves those of no weight and those without a target out', async () => {
    const [first, ...others] = toyFacts
    const learned: TrainingExample[] = [
      ...others,
      {
        type: 'chat',
        messages: [
          { role: 'user', content: 'Well?' },
          { role: 'assistant', content: '' },
        ],
      },
      ...(first === undefined ? [] : [{ ...first, weight: 0 }]),
      { type: 'text', text: 'x'.repeat(100) },
    ]
    const [plan] = eventsOf(
      await trainToy(await createToyJob({ folder, train: learned, parameters: { epochs: 1 } })),
      'train-plan',
    )
    expect(plan).toMatchObject({ examples: 8, empty: 2, tooLong: 1 })
  })

  test('replays about as many tokens as it is told to', async () => {
    const replay: TrainingExample[] = ['The sky is wide.', 'Rain falls.', 'A cat sleeps on the old wall.'].map((text) => ({
      type: 'text',
      text,
    }))
    const tokens = []
    for (const share of [0, 0.5, 1]) {
      const own = await mkdtemp(join(folder, 'run-'))
      const job = await createToyJob({ folder: own, replay, parameters: { epochs: 1, replay: share } })
      tokens.push(eventsOf(await trainToy(job), 'train-plan')[0]?.tokens ?? 0)
    }
    const [none = 0, half = 0, all = 0] = tokens
    expect(half / none).toBeGreaterThan(1.4)
    expect(half / none).toBeLessThan(1.6)
    expect(all / none).toBeGreaterThan(1.85)
  })
})

describe('a training that cannot go on', () => {
  test('fails with the step when numbers go out of range, publishes nothing and keeps the last checkpoint', async () => {
    const job = await createToyJob({ folder, parameters: { epochs: 50, learningRate: 1e6, warmup: 0 } })
    const events: TrainEvent[] = []
    const parts = { ...toyParts((event) => events.push(event)), checkpointMs: 0 }
    await expect(train(job, parts)).rejects.toMatchObject({
      code: 'unprocessable',
      message: expect.stringMatching(/^At step \d+ the /),
    })
    expect(events.some(({ type }) => type === 'train-end')).toBe(false)
    const files = await readdir(folder)
    expect(files).not.toContain('adapter.gguf')
    expect(files).toContain('checkpoint-0.bin')
  })

  test('is refused with both numbers when it would not fit into memory', async () => {
    const job = await createToyJob({ folder, memoryBytes: 1000 })
    await expect(trainToy(job)).rejects.toMatchObject({
      code: 'too_large',
      message: expect.stringMatching(/take 1 MB of memory, and may take 1 MB/),
    })
  })

  test('is refused with both losses when llama.cpp computes another one', async () => {
    const openReference = () => ({
      score: (_: unknown, at: ArrayLike<number>) => new Float32Array(at.length).fill(-9),
      quantization: 'Q8_0',
      close() {},
    })
    const refused = trainToy(await createToyJob({ folder }), { openReference })
    await expect(refused).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringMatching(/is \d\.\d+, by llama\.cpp 9\.0000; for Q8_0/),
    })
  })

  test('is refused when nothing is left to learn, or DPO is given answers', async () => {
    const empty = createToyJob({ folder, train: [{ type: 'text', text: '' }] })
    await expect(empty.then((job) => trainToy(job))).rejects.toMatchObject({ code: 'invalid' })
    const answers = createToyJob({ folder, parameters: { method: 'dpo' } })
    await expect(answers.then((job) => trainToy(job))).rejects.toMatchObject({
      code: 'invalid',
      message: expect.stringContaining('Line 1'),
    })
  })
})

test('a training that is stopped goes on to the same adapter as one that was not', async () => {
  const parameters = { epochs: 3, dropout: 0.2 }
  const whole = await createToyJob({ folder: await mkdtemp(join(folder, 'whole-')), parameters })
  await trainToy(whole)
  const parted = await createToyJob({ folder: await mkdtemp(join(folder, 'parted-')), parameters })
  for (;;) {
    let looks = 0
    const isStopped = () => {
      looks += 1
      return looks > 2
    }
    const control = { ...toyParts(() => {}).control, isStopped }
    const events = await trainToy(parted, { control })
    const end = events.at(-1)
    if (end?.type === 'train-end' && end.reason === 'completed') break
    expect(end).toMatchObject({ type: 'train-end', reason: 'stopped', adapterFile: undefined })
  }
  expect(await adapterDigest(parted.folder)).toBe(await adapterDigest(whole.folder))
})
