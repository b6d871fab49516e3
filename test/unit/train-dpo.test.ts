import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import type { LearnedExample } from '../../src/engine/train/batches.ts'
import type { TrainingExample } from '../../src/engine/train/example.ts'
import { createObjective, type Objective } from '../../src/engine/train/objective.ts'
import { openTrainable } from '../../src/engine/train/open-trainable.ts'
import { adaptableModules, type Trainable } from '../../src/engine/train/trainable.ts'
import { disturb, randomTokens, writeTinyModel } from '../tiny-models.ts'
import { createToyTrainable } from '../toy-trainable.ts'
import { createToyJob, trainToy } from '../toy-training.ts'

const folder = await mkdtemp(join(tmpdir(), 'simpleia-dpo-'))
afterAll(() => rm(folder, { recursive: true }))

const places = (from: number, to: number) => Int32Array.from({ length: to - from }, (_, index) => from + index)

/** Two answers of different lengths to the same question. */
function pairOf(seed: number, weight: number): LearnedExample {
  const asked = randomTokens(5, seed)
  const rows = [4, 7].map((length) => {
    const tokens = Int32Array.from([...asked, ...randomTokens(length, seed + length)])
    return { tokens, places: places(asked.length, tokens.length) }
  })
  return { rows, weight }
}
const pairs = [pairOf(1, 1), pairOf(2, 0.5), pairOf(3, 2)]
const material = { examples: pairs, replay: [] }

/** Central differences of the loss that `evaluate` tells, for the entries of each matrix that count most. */
async function expectGradients(model: Trainable, objective: Objective, step: number, tolerance: number): Promise<void> {
  const total = objective.weightOf(material)
  const { loss, gradients } = await objective.differentiate(material, total, undefined)
  const lossNow = async () => {
    const evaluated = await objective.evaluate(pairs)
    return evaluated.loss / evaluated.weight
  }
  expect(loss).toBeCloseTo(await lossNow(), 5)
  for (const [index, { data }] of model.parameters.entries()) {
    const gradient = gradients[index] ?? new Float32Array(0)
    const entry = gradient.reduce((best, value, at) => (Math.abs(value) > Math.abs(gradient[best] ?? 0) ? at : best), 0)
    const before = data[entry] ?? 0
    data[entry] = before + step
    const above = await lossNow()
    data[entry] = before - step
    const below = await lossNow()
    data[entry] = before
    const numeric = (above - below) / (2 * step)
    expect(Math.abs((gradient[entry] ?? 0) - numeric)).toBeLessThan(tolerance * Math.max(Math.abs(numeric), 0.02))
  }
}

describe.each([true, false])('the gradient of DPO (packed: %s)', (packs) => {
  const options = { method: 'dpo', beta: 0.3, maxLength: 64, packs } as const

  test('is what the loss changes by, for a toy', async () => {
    const toy = createToyTrainable({ vocabulary: 300 })
    disturb(toy.parameters, 0.3)
    await expectGradients(toy, createObjective(toy, options), 1e-3, 0.02)
  })

  test.each(['gemma3', 'llama'] as const)('is what the loss changes by, for a %s', async (name) => {
    const path = await writeTinyModel(name, folder)
    const model = await openTrainable({
      path,
      rank: 2,
      alpha: 4,
      modules: adaptableModules,
      seed: 4,
      threads: 1,
      device: 'cpu',
      drops: false,
    })
    try {
      disturb(model.parameters, 0.5)
      await expectGradients(model, createObjective(model, options), 0.01, 0.05)
    } finally {
      await model.close()
    }
  })
})

test('a pair has the loss of a coin toss before anything is learned', async () => {
  const objective = createObjective(createToyTrainable({ vocabulary: 300 }), {
    method: 'dpo',
    beta: 0.1,
    maxLength: 64,
    packs: true,
  })
  const { loss, weight, preferred, pairs: count } = await objective.evaluate(pairs)
  expect(loss / weight).toBeCloseTo(Math.LN2, 6)
  expect([preferred, count]).toEqual([0, 3])
})

test('a training on preferences prefers the chosen answers in the end, held-out ones too', async () => {
  const ask = (content: string, chosen: string, rejected: string): TrainingExample => ({
    type: 'preference',
    messages: [{ role: 'user', content }],
    chosen,
    rejected,
  })
  const job = await createToyJob({
    folder,
    train: ['One?', 'Two?', 'Three?', 'Four?'].map((asked) => ask(asked, 'yes please', 'no thanks')),
    heldOut: [ask('Five?', 'yes please', 'no thanks')],
    parameters: { method: 'dpo', epochs: 10 },
  })
  const epochs = (await trainToy(job)).filter((event) => event.type === 'train-epoch')
  expect(epochs.at(-1)?.preferenceAccuracy).toBe(1)
  expect(epochs.at(-1)?.trainLoss).toBeLessThan(0.6)
  expect(epochs.at(-1)?.heldOutLoss).toBeLessThan(epochs[0]?.heldOutLoss ?? 0)
})
