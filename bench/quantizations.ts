import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { availableParallelism, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { runMeasurement, runQuantization, spawnQuantizer } from '../src/engine/local/quantize-process.ts'
import type { Measurement } from '../src/engine/local/quantize-protocol.ts'
import { isQuantization, type Quantization, quantizationNames, quantizations } from '../src/engine/quantization.ts'
import { reportText } from '../src/models/report-text.ts'

// Makes the quantizations of one model, with and without an importance matrix, and prints what each costs and saves:
//   node bench/quantizations.ts MODEL.gguf [--calibration FILE] [--text FILE] [--threads N] [QUANTIZATION …]
// With the calibration file, each quantization below Q8_0 is made with its matrix too; those that need one are left out without.

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { calibration: { type: 'string' }, text: { type: 'string' }, threads: { type: 'string' } },
})
const [model = '', ...names] = positionals
const threads = Number(values.threads ?? availableParallelism())
const calibration = values.calibration === undefined ? undefined : await readFile(values.calibration, 'utf8')
const text = values.text === undefined ? reportText : await readFile(values.text, 'utf8')
const options = { spawn: () => spawnQuantizer((line) => void process.stderr.write(line)), signal: new AbortController().signal }
const folder = await mkdtemp(join(tmpdir(), 'simpleia-bench-'))

async function quantize(source: string, target: string, quantization: Quantization, calibrationText?: string): Promise<number> {
  const startedAt = performance.now()
  for await (const event of runQuantization({ source, target, quantization, calibrationText, threads }, options))
    if (event.type === 'tensor-progress' && event.tensor === event.tensors) process.stderr.write('.')
  return (performance.now() - startedAt) / 1000
}

async function measure(original: string, result: string): Promise<Measurement> {
  for await (const event of runMeasurement({ original, result, text, threads }, options))
    if (event.type === 'measure-end') return event.measurement
  throw new Error('The measurement ended without a result.')
}

const columns = 'quantization | matrix | MB | bits/weight | perplexity | KL divergence | same top | tokens/s | made in'
console.log(`| ${columns} |\n|${' --- |'.repeat(columns.split('|').length)}`)

async function bench(original: string, quantization: Quantization, calibrationText?: string): Promise<void> {
  const target = join(folder, `${quantization}.gguf`)
  const seconds = await quantize(original, target, quantization, calibrationText)
  const { result } = await measure(original, target)
  if (result === undefined) throw new Error('The measurement left the model out.')
  const cells = [
    quantization,
    calibrationText === undefined ? '' : 'yes',
    ((await stat(target)).size / 1e6).toFixed(1),
    result.bitsPerWeight.toFixed(2),
    `${result.perplexity.toFixed(2)} ± ${result.perplexityError.toFixed(2)}`,
    `${result.klDivergence.toFixed(4)} ± ${result.klDivergenceError.toFixed(4)}`,
    `${(result.topAgreement * 100).toFixed(1)} %`,
    result.tokensPerSecond.toFixed(0),
    `${seconds.toFixed(1)} s`,
  ]
  console.log(`| ${cells.join(' | ')} |`)
  await rm(target)
}

try {
  const original = join(folder, 'original.gguf')
  await quantize(model, original, 'F16')
  for (const name of names.length > 0 ? names : quantizationNames.filter((known) => known !== 'F16')) {
    if (!isQuantization(name)) throw new Error(`There is no quantization ${name}.`)
    if (!quantizations[name].needsMatrix) await bench(original, name)
    if (calibration !== undefined && name !== 'BF16' && name !== 'Q8_0') await bench(original, name, calibration)
  }
} finally {
  await rm(folder, { recursive: true })
}
