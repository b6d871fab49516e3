import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { writeAdapter } from '../../src/engine/train/adapter-file.ts'
import { openTrainable } from '../../src/engine/train/open-trainable.ts'
import { adaptableModules, type TrainableOptions } from '../../src/engine/train/trainable.ts'
import {
  batchOf,
  disturb,
  logprobsBy,
  mean,
  openExactEvaluation,
  randomTokens,
  type TinyModel,
  tinyModels,
  writeTinyModel,
} from '../tiny-models.ts'

const folder = await mkdtemp(join(tmpdir(), 'simpleia-parity-'))
afterAll(() => rm(folder, { recursive: true }))

const paths = new Map<TinyModel, string>()
for (const name of tinyModels) paths.set(name, await writeTinyModel(name, folder))

const options = { rank: 3, alpha: 6, modules: adaptableModules, seed: 4, threads: 1, device: 'cpu', drops: false } as const

async function open(path: string, changes: Partial<TrainableOptions> = {}) {
  const model = await openTrainable({ path, ...options, ...changes })
  onTestFinished(() => model.close())
  return model
}

const largestDifference = (one: ArrayLike<number>, other: ArrayLike<number>) => {
  expect(one.length).toBe(other.length)
  return Array.from(one).reduce((most, value, index) => Math.max(most, Math.abs(value - (other[index] ?? Number.NaN))), 0)
}

/** llama.cpp looks GELU up in a table of 16-bit numbers. */
const tolerance = (name: string) => (name === 'gemma3' ? 0.004 : 0.0002)

describe.each(tinyModels)('%s', (name) => {
  const path = paths.get(name) ?? ''

  test('gives each token the probability that llama.cpp gives it', async () => {
    const model = await open(path)
    const evaluation = openExactEvaluation(path)
    onTestFinished(evaluation.close)
    // The window of the tiny Gemma is 8 tokens.
    for (const tokens of [randomTokens(7, 1), randomTokens(60, 2)]) {
      const ours = await model.score(batchOf([[tokens]]))
      const theirs = logprobsBy(evaluation, tokens)
      expect(largestDifference(ours, theirs)).toBeLessThan(tolerance(name))
      expect(Math.abs(mean(ours) / mean(theirs) - 1)).toBeLessThan(0.0005)
    }
  })

  test('with an adapter, gives what llama.cpp gives with the file of it', async () => {
    const model = await open(path)
    disturb(model.parameters)
    const target = join(folder, `${name}-adapter.gguf`)
    await writeAdapter(target, {
      architecture: model.architecture,
      alpha: options.alpha,
      parameters: model.parameters,
      origin: { name: 'Test', baseModel: name, run: 'run-1' },
    })
    const evaluation = openExactEvaluation(path, target)
    onTestFinished(evaluation.close)
    const tokens = randomTokens(40, 3)
    const adapted = await model.score(batchOf([[tokens]]))
    const plain = await model.score(batchOf([[tokens]]), { adapted: false })
    expect(largestDifference(adapted, logprobsBy(evaluation, tokens))).toBeLessThan(2 * tolerance(name))
    expect(largestDifference(adapted, plain)).toBeGreaterThan(0.1)
  })

  test('texts that share a row, or a batch, do not see each other', async () => {
    const model = await open(path)
    disturb(model.parameters)
    const texts = [randomTokens(12, 4), randomTokens(5, 5), randomTokens(20, 6)]
    const [first = [], second = [], third = []] = texts
    const packed = batchOf([[first, second], [third]])
    const alone = await Promise.all(texts.map((text) => model.score(batchOf([[text]]))))
    const expected = alone.flatMap((logprobs) => [...logprobs])
    expect(largestDifference(await model.score(packed), expected)).toBeLessThan(1e-5)
    const { logprobs } = await model.differentiate(packed, new Float32Array(expected.length).fill(1))
    expect(largestDifference(logprobs, expected)).toBeLessThan(1e-5)
  })
})
