import { mkdtemp, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { runMeasurement, runQuantization, spawnQuantizer } from '../../src/engine/local/quantize-process.ts'
import type { Measurement } from '../../src/engine/local/quantize-protocol.ts'
import type { Quantization } from '../../src/engine/quantization.ts'
import { reportText } from '../../src/models/report-text.ts'
import { realModelFile } from '../real-host.ts'

// A paragraph to measure with, so that this takes a minute on two cores; the whole text is for bench/quantizations.ts.
const text = reportText.slice(0, 1400)
const calibrationText = reportText.slice(2800, 5600)
const options = { spawn: () => spawnQuantizer((line) => void process.stderr.write(line)), signal: new AbortController().signal }

let folder: string
const fileOf = (name: string) => join(folder, `${name}.gguf`)

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'simpleia-quantize-'))
  await quantize(realModelFile, 'original', 'F16')
})
afterAll(() => rm(folder, { recursive: true }))

async function quantize(source: string, name: string, quantization: Quantization, calibration?: string): Promise<string[]> {
  const kinds: string[] = []
  const job = { source, target: fileOf(name), quantization, calibrationText: calibration, threads: 2 }
  for await (const event of runQuantization(job, options)) kinds.push(event.type)
  return kinds
}

async function measure(name: string): Promise<Measurement & { sizeBytes: number }> {
  const job = { original: fileOf('original'), result: fileOf(name), text, threads: 2 }
  const { size: sizeBytes } = await stat(job.result)
  for await (const event of runMeasurement(job, options))
    if (event.type === 'measure-end') return { ...event.measurement, sizeBytes }
  throw new Error('The measurement ended without a result.')
}

test('smaller quantizations are smaller, and further from the original', async () => {
  const names = ['Q8_0', 'Q4_K_M', 'Q3_K_M', 'Q2_K'] as const
  const measured: Array<Awaited<ReturnType<typeof measure>>> = []
  for (const name of names) {
    expect((await quantize(fileOf('original'), name, name)).filter((type) => type === 'tensor-progress')).toHaveLength(236)
    measured.push(await measure(name))
  }
  const descending = (values: readonly number[]) => values.toSorted((one, other) => other - one)
  const results = measured.flatMap(({ result }) => result ?? [])
  const sizes = [(await stat(fileOf('original'))).size, ...measured.map(({ sizeBytes }) => sizeBytes)]
  expect(sizes).toEqual(descending(sizes))
  expect(new Set(sizes).size).toBe(5)
  const distances = results.map(({ klDivergence }) => klDivergence)
  expect(distances.toReversed()).toEqual(descending(distances))
  const agreement = results.map(({ topAgreement }) => topAgreement)
  expect(agreement[3]).toBeLessThan(agreement[0] ?? 0)
  // The weights were once in Q4_K_M, so making that of them again costs next to nothing, as Q8_0 does: their perplexities are within the noise.
  const [q8 = 0, q4 = 0, q3 = 0, q2 = 0] = results.map(({ perplexity }) => perplexity)
  const original = measured[0]?.original.perplexity ?? 0
  for (const near of [q8, q4]) expect(Math.abs(near / original - 1)).toBeLessThan(0.05)
  expect(q3).toBeGreaterThan(original * 1.1)
  expect(q2).toBeGreaterThan(q3)
  for (const { original: row, result } of measured)
    expect([row.tokensPerSecond > 0, (result?.tokensPerSecond ?? 0) > 0]).toEqual([true, true])
})

test('an importance matrix of a text brings a small quantization nearer to the original', async () => {
  const kinds = await quantize(fileOf('original'), 'Q2_K-matrix', 'Q2_K', calibrationText)
  expect(kinds).toContain('calibration-progress')
  const [without, withMatrix] = [await measure('Q2_K'), await measure('Q2_K-matrix')]
  expect(withMatrix.result?.klDivergence).toBeLessThan(without.result?.klDivergence ?? 0)
})

test('what is no model, or is cut off, is refused with the reason', async () => {
  await expect(quantize('package.json', 'x', 'Q8_0')).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('GGUF'),
  })
  await expect(quantize(fileOf('original'), 'x', 'IQ2_XS')).rejects.toMatchObject({ code: 'invalid' })
  await expect(quantize(fileOf('original'), 'x', 'Q8_0', 'Hola')).rejects.toMatchObject({
    code: 'invalid',
    message: expect.stringContaining('tokens'),
  })
})
