import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, onTestFinished, test } from 'vitest'
import { readGgufHeader } from '../../src/engine/gguf/gguf-header.ts'
import { findLibrary, type Llama, openLibrary } from '../../src/engine/local/libllama.ts'
import { openLlamaScorer } from '../../src/engine/local/llama-scorer.ts'
import { runQuantization, spawnQuantizer } from '../../src/engine/local/quantize-process.ts'
import type { MergeJob } from '../../src/engine/train/merge-adapter.ts'
import { runMerge, spawnMerger } from '../../src/engine/train/merge-process.ts'
import { convertCheckpoint, type OutputType } from '../../src/models/convert/convert.ts'
import { reportText } from '../../src/models/report-text.ts'
import { writeAdapter, writeNoise } from '../lora-file.ts'
import { realModelFile } from '../real-host.ts'

const folder = await mkdtemp(join(tmpdir(), 'simpleia-merge-'))
afterAll(() => rm(folder, { recursive: true }))
const fileOf = (name: string) => join(folder, `${name}.gguf`)
const log = (line: string) => void process.stderr.write(line)
const llama = openTestLibrary()

/** llama.cpp in this process: a test may end with it. */
function openTestLibrary(): Llama {
  const library = findLibrary('cpu')
  if (library === undefined) throw new Error('No llama.cpp library is installed here.')
  return openLibrary(library, () => {})
}

async function merge(job: MergeJob, signal = new AbortController().signal): Promise<string[]> {
  const events: string[] = []
  for await (const { type } of runMerge(job, { spawn: () => spawnMerger(log), signal })) events.push(type)
  return events
}

/** The log-probability of each token of a text. */
function scoresOf(path: string, adapterPath?: string): Float32Array {
  const scorer = openLlamaScorer(llama, { path, adapterPath, contextSize: 256, threads: 2 })
  onTestFinished(scorer.close)
  const bos = scorer.bos === undefined ? [] : [scorer.bos]
  const text = scorer.tokenize([{ text: reportText.slice(0, 600), special: false }])
  const tokens = [...bos, ...text].slice(0, Math.min(200, scorer.contextSize))
  return scorer.score(tokens, [...tokens.keys()].slice(0, -1), tokens.slice(1))
}

const mean = (values: Float32Array) => values.reduce((sum, value) => sum + value, 0) / values.length
/** Of one mean negative log-likelihood from the other, relative. */
const change = (one: Float32Array, other: Float32Array) => Math.abs(mean(one) / mean(other) - 1)
/** Mean distance of the tokens' scores, in nats. */
const distance = (one: Float32Array, other: Float32Array) =>
  mean(one.map((value, index) => Math.abs(value - (other[index] ?? 0))))

async function convert(name: string, outputType: OutputType): Promise<string> {
  const target = fileOf(`${name}-${outputType}`)
  await convertCheckpoint({ folder: join('test/fixtures/convert', name), target, outputType }, () => {})
  return target
}

/** An adapter for each matrix of the blocks, and of these too. */
async function adapt(name: string, base: string, more: readonly string[] = []): Promise<string> {
  const { metadata, tensors } = await readGgufHeader(base)
  const target = fileOf(`${name}-adapter`)
  const matrices = tensors.filter((tensor) => tensor.name.startsWith('blk.') && tensor.shape.length === 2)
  const others = tensors.filter((tensor) => more.includes(tensor.name))
  const architecture = String(metadata.get('general.architecture'))
  await writeNoise(target, { architecture, tensors: [...matrices, ...others], seed: 5, alpha: 8 })
  return target
}

const keysOf = async (path: string) => {
  const { keys } = await readGgufHeader(path)
  return (await readFile(path)).subarray(keys.start, keys.end)
}

describe.each(['gpt2', 'llama', 'llama3', 'mistral', 'qwen2', 'qwen3', 'gemma3', 'phi3', 'smollm3'])('%s', (name) => {
  test('merged finds a text as likely as with the adapter, and is the same otherwise', async () => {
    const basePath = await convert(name, 'f32')
    const adapterPath = await adapt(name, basePath)
    const target = fileOf(`${name}-merged`)
    const { tensors } = await readGgufHeader(basePath)
    const events = await merge({ basePath, adapterPath, target, outputType: 'F32' })
    expect(events).toEqual([...tensors.map(() => 'tensor-written'), 'merge-end'])

    const [plain, wanted, merged] = [scoresOf(basePath), scoresOf(basePath, adapterPath), scoresOf(target)]
    expect(distance(plain, wanted)).toBeGreaterThan(0.05)
    expect(distance(merged, wanted)).toBeLessThan(distance(plain, wanted) / 100)
    expect(change(merged, wanted)).toBeLessThan(0.001)

    const header = await readGgufHeader(target)
    expect(header.tensors.map((tensor) => [tensor.name, tensor.shape])).toEqual(tensors.map((one) => [one.name, one.shape]))
    expect((await keysOf(target)).equals(await keysOf(basePath))).toBe(true)

    await merge({ basePath, adapterPath, target, outputType: 'F16' })
    expect(change(scoresOf(target), wanted)).toBeLessThan(0.005)
    expect((await readGgufHeader(target)).metadata.get('general.file_type')).toBe(1)
  })
})

test('an adapter of the embeddings and the output is merged as it is computed', async () => {
  const basePath = await convert('mistral', 'f32')
  const adapterPath = await adapt('mistral-whole', basePath, ['token_embd.weight', 'output.weight'])
  const target = fileOf('mistral-whole-merged')
  await merge({ basePath, adapterPath, target, outputType: 'F32' })
  expect((await readGgufHeader(basePath)).tensors.map(({ name }) => name)).toContain('output.weight')
  const [blocks, wanted] = [scoresOf(basePath, await adapt('llama', basePath)), scoresOf(basePath, adapterPath)]
  expect(distance(blocks, wanted)).toBeGreaterThan(0.05)
  expect(change(scoresOf(target), wanted)).toBeLessThan(0.001)
})

test('a merged small Gemma is near to the base with its adapter, in each quantization', async () => {
  const [adapterPath, merged] = [fileOf('noise'), fileOf('gemma-merged')]
  await writeAdapter(adapterPath, 1)
  await merge({ basePath: realModelFile, adapterPath, target: merged, outputType: 'F16' })
  const [plain, wanted] = [scoresOf(realModelFile), scoresOf(realModelFile, adapterPath)]
  expect(change(plain, wanted)).toBeGreaterThan(0.1)
  expect(change(scoresOf(merged), wanted)).toBeLessThan(0.01)
  for (const quantization of ['F16', 'Q8_0', 'Q4_K_M'] as const) {
    const target = fileOf(quantization)
    const job = { source: merged, target, quantization, calibrationText: undefined, threads: 2 }
    for await (const _ of runQuantization(job, { spawn: () => spawnQuantizer(log), signal: new AbortController().signal }));
    expect(change(scoresOf(target), wanted)).toBeLessThan(0.02)
  }
})

test('a merge that is given up, or whose parent is killed, leaves nothing', async () => {
  const adapterPath = fileOf('noise')
  await writeAdapter(adapterPath, 1)
  const before = await readdir(folder)
  const job = { basePath: realModelFile, adapterPath, target: fileOf('left'), outputType: 'F32' } as const
  const leaving = new AbortController()
  const events = runMerge(job, { spawn: () => spawnMerger(log), signal: leaving.signal })
  await events.next()
  leaving.abort()
  await expect(events.next()).rejects.toMatchObject({ code: 'aborted' })
  expect(await readdir(folder)).toEqual(before)

  const parent = spawn(process.execPath, ['test/merge-parent.ts', realModelFile, adapterPath, fileOf('half')], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(parent.stdout, 'data')
  parent.kill('SIGKILL')
  await expect.poll(() => readdir(folder), { timeout: 30_000 }).toEqual(before)
})
