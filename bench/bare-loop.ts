import { type Batch, findLibrary, openLibrary, pointerAt, viewBytes, viewFloats, viewInts } from '../src/engine/local/libllama.ts'
import { AppError } from '../src/errors.ts'
import type { Answer, Ask } from './target.ts'

// What llama.cpp itself can do, measured in a process of its own: prompts in full batches, then steps with the likeliest token, and
// nothing else. Arguments: model file, threads.

const batchSize = 512
const sequences = 16
const cacheSize = 16_384

export type ToBareLoop = readonly Ask[]
export type FromBareLoop = readonly Answer[]

type Running = { readonly prompt: readonly number[]; readonly maxTokens: number; next: number; made: number; firstMs: number }

const [file = '', threads = '1'] = process.argv.slice(2)
const folder = findLibrary('cpu')
if (folder === undefined) throw new AppError('unavailable', 'No llama.cpp library is installed here.')
const llama = openLibrary(folder, () => {})
const model = llama.llama_model_load_from_file(file, { ...llama.llama_model_default_params(), n_gpu_layers: 0 })
if (model === null) throw new AppError('invalid', `llama.cpp cannot read ${file}.`)
const vocabulary = llama.llama_model_get_vocab(model)
const vocabularySize = llama.llama_vocab_n_tokens(vocabulary)
const context = llama.llama_init_from_model(model, {
  ...llama.llama_context_default_params(),
  n_ctx: cacheSize,
  n_batch: batchSize,
  n_ubatch: batchSize,
  n_seq_max: sequences,
  n_outputs_max: sequences,
  n_threads: Number(threads),
  n_threads_batch: Number(threads),
  kv_unified: true,
  swa_full: true,
})
if (context === null) throw new AppError('unavailable', 'There is not enough memory for the context.')
const memory = llama.llama_get_memory(context)
const batch: Batch = llama.llama_batch_init(batchSize, 0, 1)
const tokens = viewInts(batch.token, batchSize)
const positions = viewInts(batch.pos, batchSize)
const outputs = viewBytes(batch.logits, batchSize)
viewInts(batch.n_seq_id, batchSize).fill(1)
const owners = Array.from({ length: batchSize }, (_, row) => viewInts(pointerAt(batch.seq_id, row), 1))

function put(token: number, position: number, sequence: number, output: boolean): number {
  const row = batch.n_tokens
  tokens[row] = token
  positions[row] = position
  owners[row]?.fill(sequence)
  outputs[row] = output ? 1 : 0
  batch.n_tokens += 1
  return row
}

function decode(): void {
  const result = llama.llama_decode(context, batch)
  if (result !== 0) throw new AppError('internal', `llama.cpp could not evaluate a batch (code ${result}).`)
  batch.n_tokens = 0
}

function likeliest(row: number): number {
  const scores = viewFloats(llama.llama_get_logits_ith(context, row), vocabularySize)
  let best = 0
  let highest = Number.NEGATIVE_INFINITY
  for (let token = 0; token < scores.length; token += 1) {
    const score = scores[token] ?? 0
    if (score > highest) {
      highest = score
      best = token
    }
  }
  return best
}

function tokenize(text: string): readonly number[] {
  const bytes = Buffer.from(text)
  const found = new Int32Array(bytes.length + 8)
  return [...found.subarray(0, llama.llama_tokenize(vocabulary, bytes, bytes.length, found, found.length, true, false))]
}

function readPrompts(running: readonly Running[], originMs: number): void {
  let ends: Array<readonly [Running, number]> = []
  const flush = () => {
    if (batch.n_tokens === 0) return
    decode()
    for (const [one, row] of ends) {
      one.next = likeliest(row)
      one.made = 1
      one.firstMs = performance.now() - originMs
    }
    ends = []
  }
  for (const [sequence, one] of running.entries()) {
    for (const [position, token] of one.prompt.entries()) {
      const isLast = position === one.prompt.length - 1
      const row = put(token, position, sequence, isLast)
      if (isLast) ends.push([one, row])
      if (batch.n_tokens === batchSize) flush()
    }
  }
  flush()
}

function generate(asks: readonly Ask[]): readonly Answer[] {
  llama.llama_memory_seq_rm(memory, -1, -1, -1)
  const originMs = performance.now()
  const running = asks.map(({ prompt, maxTokens }): Running => {
    return { prompt: tokenize(prompt), maxTokens, next: 0, made: 0, firstMs: 0 }
  })
  readPrompts(running, originMs)
  for (;;) {
    const open = [...running.entries()].filter(([, { made, maxTokens }]) => made < maxTokens)
    if (open.length === 0) break
    for (const [sequence, { next, prompt, made }] of open) put(next, prompt.length + made - 1, sequence, true)
    decode()
    for (const [row, [, one]] of open.entries()) {
      one.next = likeliest(row)
      one.made += 1
    }
  }
  const endMs = performance.now() - originMs
  return running.map(({ prompt, made, firstMs }) => {
    return { promptTokens: prompt.length, completionTokens: made, firstMs, lastMs: endMs, endMs }
  })
}

process.on('message', (asks: ToBareLoop) => process.send?.(generate(asks) satisfies FromBareLoop))
process.on('disconnect', () => process.exit(0))
process.send?.([] satisfies FromBareLoop)
