import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { openTrainable } from '../../src/engine/train/open-trainable.ts'
import {
  adaptableModules,
  type Dropout,
  type TokenBatch,
  type Trainable,
  type TrainableOptions,
} from '../../src/engine/train/trainable.ts'
import { batchOf, disturb, randomTokens, type TinyModel, tinyModels, writeTinyModel } from '../tiny-models.ts'

const folder = await mkdtemp(join(tmpdir(), 'simpleia-gradients-'))
afterAll(() => rm(folder, { recursive: true }))

const paths = new Map<TinyModel, string>()
for (const name of tinyModels) paths.set(name, await writeTinyModel(name, folder))

const options = { rank: 2, alpha: 3, modules: adaptableModules, seed: 4, threads: 1, device: 'cpu', drops: false } as const

async function open(name: TinyModel, changes: Partial<TrainableOptions> = {}) {
  const model = await openTrainable({ path: paths.get(name) ?? '', ...options, ...changes })
  onTestFinished(() => model.close())
  disturb(model.parameters, 0.5)
  return model
}

const batch = batchOf([[randomTokens(9, 1), randomTokens(6, 2)], [randomTokens(14, 3)]])
/** Of both signs, as for preferences. */
const weights = Float32Array.from(batch.targets, (_, index) => Math.sin(3 * index + 1))

async function lossOf(model: Trainable, given: TokenBatch, dropout?: Dropout): Promise<number> {
  const { logprobs } = await model.differentiate(given, weights, dropout)
  return -logprobs.reduce((sum, logprob, index) => sum + logprob * (weights[index] ?? 0), 0)
}

const step = 0.01

/** The entries of a gradient that are compared: the largest one, and two others. */
function entriesOf(gradient: Float32Array): number[] {
  const largest = gradient.reduce((best, value, index) => (Math.abs(value) > Math.abs(gradient[best] ?? 0) ? index : best), 0)
  return [largest, Math.floor(gradient.length / 3), gradient.length - 1]
}

/** Compares gradients with central differences of the loss, for every kind of matrix in the first and in the last layer. */
async function expectGradients(model: Trainable, dropout?: Dropout): Promise<void> {
  const { gradients } = await model.differentiate(batch, weights, dropout)
  const layers = new Set(model.parameters.map(({ name }) => Number(name.split('.')[1])))
  const chosen = [0, Math.max(...layers)].map((layer) => `blk.${layer}.`)
  for (const [index, { name, data }] of model.parameters.entries()) {
    if (!chosen.some((prefix) => name.startsWith(prefix))) continue
    const gradient = gradients[index] ?? new Float32Array(0)
    expect(gradient.length).toBe(data.length)
    const size = Math.hypot(...gradient) / Math.sqrt(gradient.length)
    for (const entry of entriesOf(gradient)) {
      const before = data[entry] ?? 0
      data[entry] = before + step
      const above = await lossOf(model, batch, dropout)
      data[entry] = before - step
      const below = await lossOf(model, batch, dropout)
      data[entry] = before
      const difference = Math.abs((above - below) / (2 * step) - (gradient[entry] ?? 0))
      const allowed = 0.01 * Math.abs(gradient[entry] ?? 0) + 0.02 * size + 0.0005
      expect(difference, `${name}[${entry}]: ${gradient[entry]}`).toBeLessThan(allowed)
    }
  }
}

describe.each(tinyModels)('%s', (name) => {
  test('has the gradients of its loss', async () => {
    await expectGradients(await open(name))
  })

  test('has them when inputs of the adapter are dropped', async () => {
    const model = await open(name, { drops: true })
    await expectGradients(model, { rate: 0.3, seed: 9 })
  })
})

describe('dropout', () => {
  test('drops the same for the same seed, other things for another, and nothing without one', async () => {
    const model = await open('qwen2', { drops: true })
    const loss = (dropout?: Dropout) => lossOf(model, batch, dropout)
    expect(await loss({ rate: 0.5, seed: 1 })).toBe(await loss({ rate: 0.5, seed: 1 }))
    expect(await loss({ rate: 0.5, seed: 1 })).not.toBe(await loss({ rate: 0.5, seed: 2 }))
    const plain = await open('qwen2')
    expect(await loss()).toBe(await lossOf(plain, batch))
    expect(await loss({ rate: 0.5, seed: 1 })).not.toBe(await loss())
  })

  test('is refused where the model was not opened for it', async () => {
    const model = await open('qwen2')
    await expect(lossOf(model, batch, { rate: 0.5, seed: 1 })).rejects.toMatchObject({ code: 'internal' })
  })
})

test('gradients are the same bytes each time that a model is opened', async () => {
  const bytesOf = async (threads: number) => {
    const model = await open('gemma3', { drops: true, threads })
    const { logprobs, gradients } = await model.differentiate(batch, weights, { rate: 0.2, seed: 3 })
    return Buffer.concat([logprobs, ...gradients].map(({ buffer }) => new Uint8Array(buffer)))
  }
  const expected = await bytesOf(2)
  for (let run = 0; run < 5; run += 1) expect(Buffer.compare(await bytesOf(2), expected)).toBe(0)
})

test('only the chosen modules have an adapter, and one that is cut off from earlier ones has its gradient too', async () => {
  const model = await open('llama', { modules: ['attn_v', 'ffn_down'] })
  expect(new Set(model.parameters.map(({ name }) => name.split('.')[2]))).toEqual(new Set(['attn_v', 'ffn_down']))
  await expectGradients(model)
})

test('a batch without targets has no loss and no gradient', async () => {
  const model = await open('qwen3')
  const none = { ...batch, targetAt: new Int32Array(0), targets: new Int32Array(0) }
  const { logprobs, gradients } = await model.differentiate(none, new Float32Array(0))
  expect(logprobs.length).toBe(0)
  expect(gradients.every((gradient) => gradient.every((value) => value === 0))).toBe(true)
  expect((await model.score(none)).length).toBe(0)
})
