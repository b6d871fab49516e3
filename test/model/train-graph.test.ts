import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { expect, onTestFinished, test } from 'vitest'
import { estimateMemory } from '../../src/engine/train/estimate-memory.ts'
import { inspectTrainable, openTrainable } from '../../src/engine/train/open-trainable.ts'
import { adaptableModules } from '../../src/engine/train/trainable.ts'
import { batchOf, disturb, logprobsBy, mean, openExactEvaluation, randomTokens } from '../tiny-models.ts'

const path = 'model_llm/gemma-3-270m-q4_k_m.gguf'

async function open() {
  const model = await openTrainable({
    path,
    rank: 8,
    alpha: 16,
    modules: adaptableModules,
    seed: 1,
    threads: 2,
    device: 'cpu',
    drops: false,
  })
  onTestFinished(() => model.close())
  return model
}

const text =
  'The river rises in the hills north of the town, runs past the old mill and the market square, and reaches the sea after ' +
  'about forty kilometres. In spring, when the snow melts, it often floods the meadows on its left bank.'

test('the real model gives texts the probability that llama.cpp gives them, also past its window', async () => {
  const model = await open()
  const evaluation = openExactEvaluation(path)
  onTestFinished(evaluation.close)
  const tokens = [evaluation.firstToken ?? 0, ...evaluation.tokenize(text)]
  // llama.cpp rounds what it multiplies with weights of 4 to 8 bits to 8 bits; the graph does not.
  const compare = async (given: readonly number[]) => {
    const [ours, theirs] = [mean(await model.score(batchOf([[given]]))), mean(logprobsBy(evaluation, given))]
    expect(Math.abs(ours / theirs - 1), `${ours} and ${theirs}`).toBeLessThan(0.02)
  }
  await compare(tokens)
  const long = Array.from({ length: 12 }, () => tokens.slice(1)).flat()
  expect(long.length).toBeGreaterThan(512)
  await compare([...tokens, ...long].slice(0, 600))
})

test('gradients of the real model on two threads are the same bytes each time', async () => {
  const model = await open()
  disturb(model.parameters, 0.02)
  const batch = batchOf([[randomTokens(12, 1, 20_000), randomTokens(8, 2, 20_000)], [randomTokens(20, 3, 20_000)]])
  const weights = Float32Array.from(batch.targets, (_, index) => (index % 3) - 0.5)
  const bytes = async () =>
    Buffer.concat((await model.differentiate(batch, weights)).gradients.map(({ buffer }) => new Uint8Array(buffer)))
  const first = await bytes()
  expect(Buffer.compare(await bytes(), first)).toBe(0)
})

test.each([
  [8, 2, 24],
  [16, 4, 128],
])('memory is estimated for rank %i and %i rows of %i tokens', async (rank, rows, length) => {
  const script = 'test/model/train-memory-process.ts'
  const { stdout } = await promisify(execFile)(process.execPath, [script, path, String(rank), String(rows), String(length)])
  const need = { rank, rows, length, modules: adaptableModules, targets: rows * (length - 1), drops: false }
  const ratio = estimateMemory(await inspectTrainable(path), need) / Number(stdout)
  expect(ratio).toBeGreaterThan(0.97)
  expect(ratio).toBeLessThan(1.2)
})
