import { cp, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { createEvaluator, type Evaluation } from '../src/engine/local/evaluation.ts'
import { findLibrary, type Llama, openLibrary } from '../src/engine/local/libllama.ts'
import { createRandom } from '../src/engine/local/random.ts'
import type { AdapterParameter, TokenBatch } from '../src/engine/train/trainable.ts'
import { convertCheckpoint } from '../src/models/convert/convert.ts'

/** Checkpoints of some thousand random weights, one of each kind of model that can be trained. */
export const tinyModels = ['gemma3', 'llama', 'llama3', 'mistral', 'qwen2', 'qwen3', 'smollm3'] as const
export type TinyModel = (typeof tinyModels)[number]

/** Writes one as a GGUF file in 32 bits, and returns its path. */
export async function writeTinyModel(name: TinyModel, folder: string): Promise<string> {
  const source = join('test/fixtures/convert', name)
  const target = join(folder, `${name}.gguf`)
  await convertCheckpoint(
    { folder: name === 'qwen3' ? await withoutYarn(source, folder) : source, target, outputType: 'f32' },
    () => {},
  )
  return target
}

async function withoutYarn(source: string, folder: string): Promise<string> {
  const copy = join(folder, 'qwen3')
  await cp(source, copy, { recursive: true })
  const config: unknown = JSON.parse(await readFile(join(source, 'config.json'), 'utf8'))
  await writeFile(
    join(copy, 'config.json'),
    JSON.stringify({ ...(config ?? {}), rope_parameters: { rope_theta: 1e6, rope_type: 'default' } }),
  )
  return copy
}

let opened: Llama | undefined

/** llama.cpp in this process: it can be opened once. */
function openLlama(): Llama {
  const folder = findLibrary('cpu')
  if (folder === undefined) throw new Error('No llama.cpp library is installed here.')
  opened ??= openLibrary(folder, () => {})
  return opened
}

/** A model in llama.cpp, with an adapter where one is given; keys and values in 32 bits. */
export function openExactEvaluation(path: string, adapterPath?: string): Evaluation {
  const llama = openLlama()
  const exact: Llama = {
    ...llama,
    llama_init_from_model: (model, params) =>
      llama.llama_init_from_model(model, { ...params, type_k: 0, type_v: 0, flash_attn_type: 0 }),
  }
  const evaluator = createEvaluator({ llama: exact, threads: 1, now: () => 0, cpuTime: () => 0 })
  return evaluator.open({ path, contextSize: 1024, mostOutputs: 512, ...(adapterPath === undefined ? {} : { adapterPath }) })
}

/** The logarithms of the probabilities of all tokens but the first, by llama.cpp. */
export function logprobsBy(evaluation: Evaluation, tokens: readonly number[]): number[] {
  evaluation.clear()
  const logprobs: number[] = []
  for (let start = 0; start < tokens.length - 1; start += mostTokens) {
    const given = tokens.slice(start, Math.min(start + mostTokens, tokens.length - 1))
    evaluation.evaluate(given, start, true)
    for (const row of given.keys()) {
      const scores = Float64Array.from(evaluation.scores(row))
      const largest = scores.reduce((most, score) => Math.max(most, score), Number.NEGATIVE_INFINITY)
      const sum = scores.reduce((total, score) => total + Math.exp(score - largest), 0)
      logprobs.push((scores[tokens[start + row + 1] ?? 0] ?? 0) - largest - Math.log(sum))
    }
  }
  return logprobs
}

const mostTokens = 256

/** Rows of texts, each of which is predicted from its second token on. */
export function batchOf(rows: ReadonlyArray<ReadonlyArray<readonly number[]>>): TokenBatch {
  const length = Math.max(...rows.map((texts) => texts.flat().length))
  const size = rows.length * length
  const batch = { tokens: new Int32Array(size), positions: new Int32Array(size), segments: new Int32Array(size).fill(-1) }
  const targetAt: number[] = []
  const targets: number[] = []
  for (const [row, texts] of rows.entries()) {
    let at = row * length
    for (const [segment, text] of texts.entries()) {
      for (const [position, token] of text.entries()) {
        batch.tokens[at] = token
        batch.positions[at] = position
        batch.segments[at] = segment
        const next = text[position + 1]
        if (next !== undefined) {
          targetAt.push(at)
          targets.push(next)
        }
        at += 1
      }
    }
  }
  return { rows: rows.length, length, ...batch, targetAt: Int32Array.from(targetAt), targets: Int32Array.from(targets) }
}

export function randomTokens(count: number, seed: number, vocabulary = 300): number[] {
  const random = createRandom(seed)
  return Array.from({ length: count }, () => Math.floor(random() * vocabulary))
}

/** An adapter that has learned something: B is not zero. */
export function disturb(parameters: readonly AdapterParameter[], size = 0.3): void {
  const random = createRandom(77)
  for (const { name, data } of parameters)
    if (name.endsWith('.lora_b')) for (let index = 0; index < data.length; index += 1) data[index] = (random() - 0.5) * size
}

export const mean = (values: ArrayLike<number>) => Array.from(values).reduce((sum, value) => sum + value, 0) / values.length
