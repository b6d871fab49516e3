import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import type { GgufHeader, GgufValue } from '../../src/engine/gguf/gguf-header.ts'
import { readGgufHeader } from '../../src/engine/gguf/gguf-header.ts'
import { createMask, createRotaryTable } from '../../src/engine/train/batch-inputs.ts'
import { countParameters, estimateMemory } from '../../src/engine/train/estimate-memory.ts'
import { readModelShape } from '../../src/engine/train/model-shape.ts'
import { inspectTrainable, openTrainable } from '../../src/engine/train/open-trainable.ts'
import { adaptableModules } from '../../src/engine/train/trainable.ts'
import { findWeights } from '../../src/engine/train/weights.ts'
import { batchOf, randomTokens, writeTinyModel } from '../tiny-models.ts'

const folder = await mkdtemp(join(tmpdir(), 'simpleia-shape-'))
afterAll(() => rm(folder, { recursive: true }))
const gemma = await writeTinyModel('gemma3', folder)
const smollm = await writeTinyModel('smollm3', folder)
const options = {
  path: gemma,
  rank: 2,
  alpha: 4,
  modules: adaptableModules,
  seed: 1,
  threads: 1,
  device: 'cpu',
  drops: false,
} as const

async function headerWith(path: string, changes: Readonly<Record<string, GgufValue>>): Promise<GgufHeader> {
  const header = await readGgufHeader(path)
  return { ...header, metadata: new Map([...header.metadata, ...Object.entries(changes)]) }
}

describe('the header of a model', () => {
  test('says which layers see a window, and which know no positions', async () => {
    const { layers, window } = readModelShape(await readGgufHeader(gemma))
    expect(layers.map(({ isWindowed }) => isWindowed)).toEqual([true, false, true, false])
    expect(window).toBe(8)
    const shape = readModelShape(await readGgufHeader(smollm))
    expect(shape.layers.map(({ rotary }) => rotary)).toEqual(['global', 'global', 'global', undefined])
  })

  test.each<readonly [string, GgufValue]>([
    ['gemma3.final_logit_softcapping', 30],
    ['gemma3.attn_logit_softcapping', 50],
    ['gemma3.expert_count', 8],
    ['gemma3.rope.scaling.type', 'yarn'],
    ['gemma3.attention.scale', 0.1],
    ['gemma3.attention.value_length', 64],
    ['gemma3.attention.causal', false],
    ['gemma3.attention.head_count', { length: 4, numbers: [2, 2, 4, 4] }],
    ['gemma3.something_new', true],
  ])('is refused by name for %s', async (key, value) => {
    const header = await headerWith(gemma, { [key]: value })
    expect(() => readModelShape(header)).toThrow(
      expect.objectContaining({ code: 'invalid', message: expect.stringContaining(key) }),
    )
  })

  test('may set to nothing what is not known here', async () => {
    const header = await headerWith(gemma, { 'gemma3.expert_count': 0, 'gemma3.something_new': false })
    expect(readModelShape(header).heads).toBe(2)
  })

  test('may tell a window where llama.cpp knows of none', async () => {
    const shape = readModelShape(await headerWith(smollm, { 'smollm3.attention.sliding_window': 4096 }))
    expect(shape.window).toBeUndefined()
    expect(shape.layers.some(({ isWindowed }) => isWindowed)).toBe(false)
  })

  test('of another architecture is refused with the list of those that can be trained', async () => {
    const header = await headerWith(gemma, { 'general.architecture': 'mamba' })
    expect(() => readModelShape(header)).toThrow(/"mamba".*gemma3, llama, qwen2, qwen3, smollm3/)
  })

  test('is refused when tensors are missing, unknown or of another size', async () => {
    const header = await readGgufHeader(gemma)
    const shape = readModelShape(header)
    const refusal = (tensors: GgufHeader['tensors']) => () => findWeights({ ...header, tensors }, shape)
    const [first] = header.tensors
    if (first === undefined) throw new Error('no tensors')
    expect(refusal(header.tensors.filter(({ name }) => name !== 'blk.1.ffn_up.weight'))).toThrow(
      /no tensor "blk.1.ffn_up.weight"/,
    )
    expect(refusal([...header.tensors, { ...first, name: 'blk.0.attn_sinks.weight' }])).toThrow(/"blk.0.attn_sinks.weight"/)
    expect(refusal(header.tensors.map((tensor) => ({ ...tensor, shape: [3] })))).toThrow(/should be of/)
  })
})

test('a mask shows the text so far, no other text, and of it no more than the window', () => {
  const batch = batchOf([
    [
      [1, 2, 3, 4],
      [5, 6],
    ],
    [[7]],
  ])
  const seen = (window: number | undefined) =>
    Array.from({ length: 2 * 6 }, (_, at) => {
      const row = createMask(batch, window).subarray(at * 6, (at + 1) * 6)
      return [...row].map((value) => (value === 0 ? 'x' : '.')).join('')
    })
  expect(seen(undefined).slice(0, 7)).toEqual(['x.....', 'xx....', 'xxx...', 'xxxx..', '....x.', '....xx', 'x.....'])
  expect(seen(2).slice(0, 6)).toEqual(['x.....', 'xx....', '.xx...', '..xx..', '....x.', '....xx'])
  expect(seen(undefined).slice(7)).toEqual(['.x....', '..x...', '...x..', '....x.', '.....x'])
})

test('angles are scaled as the header says, and divided by the factors of the file', async () => {
  const shape = readModelShape(await readGgufHeader(gemma))
  expect(shape.rotary.global.scale).toBe(1 / 8)
  expect(shape.rotary.local?.scale).toBe(1)
  const factors = new Float32Array(shape.headSize / 2).fill(2)
  const table = createRotaryTable({ base: 100, scale: 0.5 }, shape, 4, factors)
  expect(table.sine[3 * factors.length]).toBeCloseTo(Math.sin((3 * 0.5) / 2), 6)
  expect(table.sine[3 * factors.length + 1]).toBeCloseTo(Math.sin((3 * 0.5) / 100 ** (2 / shape.headSize) / 2), 6)
})

describe('a model that is opened', () => {
  test('begins with an adapter that changes nothing, the same for the same seed', async () => {
    const model = await openTrainable(options)
    const other = await openTrainable(options)
    onTestFinished(async () => void (await Promise.all([model.close(), other.close()])))
    const batch = batchOf([[randomTokens(10, 1)]])
    expect(await model.score(batch)).toEqual(await model.score(batch, { adapted: false }))
    expect(model.parameters.map(({ data }) => data)).toEqual(other.parameters.map(({ data }) => data))
    const count = model.parameters.reduce((sum, { data }) => sum + data.length, 0)
    expect(countParameters((await inspectTrainable(gemma)).shape, options)).toBe(count)
  })

  test('computes the same with its weights inside the graph, as on a GPU', async () => {
    const model = await openTrainable(options)
    const inside = await openTrainable(options, true)
    onTestFinished(async () => void (await Promise.all([model.close(), inside.close()])))
    const batch = batchOf([[randomTokens(20, 1)]])
    const weights = new Float32Array(19).fill(1)
    const [expected, found] = await Promise.all([model.differentiate(batch, weights), inside.differentiate(batch, weights)])
    for (const [index, gradient] of expected.gradients.entries())
      for (const [entry, value] of gradient.entries()) expect(found.gradients[index]?.[entry]).toBeCloseTo(value, 3)
    expect((await inside.score(batch)).length).toBe(19)
  })

  test('refuses batches that do not fit it', async () => {
    const model = await openTrainable(options)
    onTestFinished(() => model.close())
    const batch = batchOf([[randomTokens(5, 1)]])
    const refused = { code: 'internal' }
    await expect(model.score({ ...batch, tokens: batch.tokens.map(() => 5000) })).rejects.toMatchObject(refused)
    await expect(model.score({ ...batch, length: 6 })).rejects.toMatchObject(refused)
    await expect(model.score({ ...batch, targetAt: batch.targetAt.map(() => 1) })).rejects.toMatchObject(refused)
    await expect(model.differentiate(batch, new Float32Array(1))).rejects.toMatchObject(refused)
  })

  test('has many targets in chunks as it has them one by one', async () => {
    const model = await openTrainable(options)
    onTestFinished(() => model.close())
    const texts = Array.from({ length: 4 }, (_, index) => randomTokens(120, index))
    const together = await model.score(batchOf(texts.map((text) => [text])))
    const alone = await Promise.all(texts.map((text) => model.score(batchOf([[text]]))))
    for (const [index, value] of alone.flatMap((logprobs) => [...logprobs]).entries())
      expect(together[index]).toBeCloseTo(value, 4)
  })

  test('says what is missing when there is no GPU, and for files that are no models', async () => {
    await expect(openTrainable({ ...options, device: 'cuda' })).rejects.toMatchObject({ code: 'unavailable' })
    const target = join(folder, 'cut.gguf')
    await writeFile(target, (await readFile(gemma)).subarray(0, 100_000))
    await expect(openTrainable({ ...options, path: target })).rejects.toMatchObject({ code: 'invalid' })
    await expect(openTrainable({ ...options, modules: [] })).rejects.toMatchObject({ code: 'invalid' })
  })
})

test('the estimate of memory grows with all that needs memory', async () => {
  const model = await inspectTrainable(gemma)
  const need = { rank: 8, modules: adaptableModules, rows: 2, length: 64, targets: 50, drops: false }
  const estimate = estimateMemory(model, need)
  for (const more of [{ rank: 16 }, { rows: 4 }, { length: 128 }, { targets: 200 }, { drops: true }])
    expect(estimateMemory(model, { ...need, ...more })).toBeGreaterThan(estimate)
  expect(estimateMemory({ ...model, weights: model.weights * 2 }, need)).toBe(estimate + model.weights * 4)
})
