import { AppError } from '../../errors.ts'
import type { PromptPart } from '../chat-template-tokens.ts'
import type { Backend, BatchRow } from './backend.ts'
import { type CacheType, cacheTypes } from './cache-type.ts'
import { batchSize, chooseSizes } from './context-sizes.ts'
import { type Batch, createRowViews, type Llama, type Pointer, pointerArray, pointerAt, viewBytes, viewInts } from './libllama.ts'
import { createLlamaGrammars } from './llama-grammar.ts'
import { cacheTypeFor, describeModel, loadModel } from './llama-model.ts'
import type { LoadedModel, LoadOptions } from './protocol.ts'
import { countOutputs, mayBeRepacked, missingToGroup, withOutputs } from './row-groups.ts'
import { createStepCosts } from './step-costs.ts'
import { createThreadGovernor } from './thread-governor.ts'

/** The weight of an adapter: its own scale is in its file. */
const ones = new Uint8Array(new Float32Array([1]).buffer)
/**
 * Attention goes through the cells in tiles, and leaves out those of which a sequence has none: a few cells elsewhere cost all its rows
 * a tile. (16 prompts of 100 tokens that shared their first one were read 6 % slower.)
 */
const worthSharing = 8

/** Where to compute: on the CPU, or so many layers (the output counted as one) on a GPU. */
export type Placement = Readonly<{
  device: string
  gpuLayers: number
  /** Threads of the library to compute with; null: it starts some for each batch. */
  threadPool: Pointer
}>

/** Loads the model of `options`. Throws `invalid` when the file is no whole model, `unavailable` when memory does not suffice. */
export function openLlamaBackend(
  llama: Llama,
  options: LoadOptions,
  { device, gpuLayers, threadPool }: Placement = { device: 'cpu', gpuLayers: 0, threadPool: null },
): { backend: Backend; model: LoadedModel } {
  const model = loadModel(llama, options.path, gpuLayers)
  const vocabulary = llama.llama_model_get_vocab(model)
  const trained = llama.llama_model_n_ctx_train(model)
  const { contextSize, cacheSize, sequences, mostOutputs } = chooseSizes(options, trained)
  const cacheType = cacheTypeFor(llama, model, options, cacheSize)
  const context = openContext(llama, model, options, { cacheSize, sequences, mostOutputs, cacheType })
  if (threadPool !== null) llama.llama_attach_threadpool(context, threadPool, threadPool)
  const { threads, outputType } = options
  const processor = { architecture: process.arch, features: llama.llama_print_system_info() ?? '' }
  const groupsOutputs = mayBeRepacked(outputType, processor)
  const sizes = { contextSize, cacheSize, sequences, mostOutputs }
  const backend = createBackend({ llama, model, vocabulary, context, threads, groupsOutputs, ...sizes })
  return { backend, model: describeModel({ llama, model, vocabulary, options, device, contextSize, cacheType }) }
}

type Sizes = Readonly<{ cacheSize: number; sequences: number; mostOutputs: number; cacheType: CacheType }>

function openContext(llama: Llama, model: Pointer, { threads }: LoadOptions, sizes: Sizes): Pointer {
  const { cacheSize, sequences, mostOutputs, cacheType } = sizes
  const { ggml } = cacheTypes[cacheType]
  const context = llama.llama_init_from_model(model, {
    ...llama.llama_context_default_params(),
    n_ctx: cacheSize,
    n_batch: batchSize,
    n_ubatch: batchSize,
    n_seq_max: sequences + 1,
    n_outputs_max: mostOutputs,
    type_k: ggml,
    type_v: ggml,
    n_threads: threads,
    n_threads_batch: threads,
    kv_unified: true,
    swa_full: true,
  })
  if (context !== null) return context
  throw new AppError('unavailable', `There is not enough memory for a context of ${cacheSize} tokens. Lower CONTEXT_SIZE.`)
}

type Parts = Omit<Sizes, 'cacheType'> &
  Readonly<{
    llama: Llama
    model: Pointer
    vocabulary: Pointer
    context: Pointer
    threads: number
    contextSize: number
    /** Whether the matrix that scores come from may be repacked. */
    groupsOutputs: boolean
  }>

function createBackend(parts: Parts): Backend {
  const { llama, model, vocabulary, context, threads, contextSize, cacheSize, sequences, mostOutputs, groupsOutputs } = parts
  const memory = llama.llama_get_memory(context)
  const vocabularySize = llama.llama_vocab_n_tokens(vocabulary)
  const batch = createBatch(llama)
  const rowView = createRowViews(vocabularySize)
  const grammars = createLlamaGrammars(llama, vocabulary, vocabularySize)
  const governor = createThreadGovernor({
    threads,
    setThreads: (count) => llama.llama_set_n_threads(context, count, count),
    now: () => performance.now(),
    cpuTime() {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1000
    },
  })
  const pieces = new Map<number, Uint8Array>()
  const adapters = new Map<string, Pointer>()
  const costs = createStepCosts()

  /** Rows of the last sequence, which is nobody's: they come last, and their cells are free again right after. */
  const spareRows = (count: number, output: boolean) =>
    Array.from({ length: count }, (_, position) => ({ token: 0, position, sequence: sequences, output }))

  /** Rows that make the batch faster, and whole groups where it must repeat; prompts are read no slower for them. */
  function fillUp(rows: readonly BatchRow[], exactly: boolean): readonly BatchRow[] {
    const outputs = countOutputs(rows)
    const missing = costs.filledUp(outputs, mostOutputs) - outputs
    const isAnswers = outputs === rows.length
    const filled = isAnswers ? [...rows, ...spareRows(missing, true)] : withOutputs(rows, missing)
    if (isAnswers && !exactly) return filled
    const grouped = [...filled, ...spareRows(missingToGroup(filled.length), false)]
    return exactly && groupsOutputs ? withOutputs(grouped, missingToGroup(countOutputs(grouped))) : grouped
  }

  function decode(rows: readonly BatchRow[]): boolean {
    const filled = batch.fill(rows)
    const result = governor.run(() => llama.llama_decode(context, filled))
    if (rows.at(-1)?.sequence === sequences) llama.llama_memory_seq_rm(memory, sequences, -1, -1)
    if (result !== 0 && result !== 1) {
      throw new AppError('internal', `llama.cpp could not evaluate a batch of ${rows.length} rows (code ${result}).`)
    }
    return result === 0
  }

  return {
    contextSize,
    cacheSize,
    sequences,
    batchSize,
    mostOutputs,
    slidingWindow: llama.llama_model_n_swa(model),
    worthSharing,
    loadAdapter({ name, path, identity }) {
      adapters.set(identity, loadAdapter(llama, model, path, `The file of "${name}"`))
    },
    useAdapter(identity) {
      const adapter = identity === undefined ? undefined : (adapters.get(identity) ?? null)
      if (!setAdapter(llama, context, adapter)) throw new AppError('internal', `llama.cpp cannot use the adapter ${identity}.`)
    },
    tokenize: (prompt) => tokenize(llama, vocabulary, prompt),
    piece(token) {
      const known = pieces.get(token) ?? pieceOf(llama, vocabulary, token, false)
      pieces.set(token, known)
      return known
    },
    controlText: (token) =>
      llama.llama_vocab_is_control(vocabulary, token) ? Buffer.from(pieceOf(llama, vocabulary, token, true)).toString() : '',
    isEnd: (token) => llama.llama_vocab_is_eog(vocabulary, token),
    evaluate(rows, exactly) {
      const filled = fillUp(rows, exactly)
      const startedAt = performance.now()
      if (!decode(filled) && (filled.length === rows.length || !decode(rows))) return false
      if (rows.every(({ output }) => output)) costs.note(countOutputs(filled), performance.now() - startedAt)
      return true
    },
    stepCost: (rows) => costs.of(costs.filledUp(rows, mostOutputs)),
    scores: (row) => rowView(llama.llama_get_logits_ith(context, row)),
    copySequence(source, target, length) {
      llama.llama_memory_seq_rm(memory, target, 0, length)
      llama.llama_memory_seq_cp(memory, source, target, 0, length)
    },
    truncateSequence: (sequence, position) => llama.llama_memory_seq_rm(memory, sequence, position, -1),
    saveSequence(sequence) {
      const bytes = Buffer.allocUnsafeSlow(llama.llama_state_seq_get_size(context, sequence))
      return bytes.subarray(0, llama.llama_state_seq_get_data(context, bytes, bytes.length, sequence))
    },
    restoreSequence: (sequence, saved) => llama.llama_state_seq_set_data(context, saved, saved.length, sequence) > 0,
    firstPosition: (sequence) => llama.llama_memory_seq_pos_min(memory, sequence),
    createGrammar: grammars.create,
    close() {
      grammars.close()
      llama.llama_free(context)
      llama.llama_model_free(model)
    },
  }
}

/** Reads an adapter in; it goes with its model. Throws `invalid`, where `file` is the subject of the sentence. */
export function loadAdapter(llama: Llama, model: Pointer, path: string, file: string): Pointer {
  const adapter = llama.llama_adapter_lora_init(model, path)
  if (adapter !== null) return adapter
  throw new AppError('invalid', `${file} is no whole LoRA adapter, or not one for this model.`)
}

/** What is computed from now on is computed with this adapter, or with none. Whether that went well. */
export function setAdapter(llama: Llama, context: Pointer, adapter: Pointer | undefined): boolean {
  const used = adapter === undefined ? [] : [adapter]
  return llama.llama_set_adapters_lora(context, pointerArray(used), used.length, ones) === 0 && adapter !== null
}

export function createBatch(llama: Llama) {
  const batch: Batch = llama.llama_batch_init(batchSize, 0, 1)
  const [tokens, positions, counts] = [batch.token, batch.pos, batch.n_seq_id].map((address) => viewInts(address, batchSize))
  const outputs = viewBytes(batch.logits, batchSize)
  const owners = Array.from({ length: batchSize }, (_, row) => viewInts(pointerAt(batch.seq_id, row), 1))
  counts?.fill(1)
  return {
    fill(rows: readonly BatchRow[]): Batch {
      for (const [index, row] of rows.entries()) {
        tokens?.fill(row.token, index, index + 1)
        positions?.fill(row.position, index, index + 1)
        owners[index]?.fill(row.sequence)
        outputs[index] = row.output ? 1 : 0
      }
      batch.n_tokens = rows.length
      return batch
    },
  }
}

/** Each part by itself, so that what a user typed next to a control token stays text. BOS at the start, when the model wants it. */
function tokenize(llama: Llama, vocabulary: Pointer, prompt: readonly PromptPart[]): readonly number[] {
  const bos = llama.llama_vocab_bos(vocabulary)
  const start = llama.llama_vocab_get_add_bos(vocabulary) && bos >= 0 ? [bos] : []
  const tokens = prompt.flatMap(({ text, special }) => tokenizePart(llama, vocabulary, text, special))
  return tokens[0] === start[0] ? tokens : [...start, ...tokens]
}

export function tokenizePart(llama: Llama, vocabulary: Pointer, text: string, special: boolean): number[] {
  const bytes = Buffer.from(text, 'utf8')
  const tokens = new Int32Array(bytes.length + 8)
  const count = llama.llama_tokenize(vocabulary, bytes, bytes.length, tokens, tokens.length, false, special)
  if (count < 0) throw new AppError('internal', 'llama.cpp could not turn the prompt into tokens.')
  return [...tokens.subarray(0, count)]
}

/** `special`: control tokens have the text of their name, not none. */
function pieceOf(llama: Llama, vocabulary: Pointer, token: number, special: boolean): Uint8Array {
  let bytes = new Uint8Array(64)
  let length = llama.llama_token_to_piece(vocabulary, token, bytes, bytes.length, 0, special)
  if (length < 0) {
    bytes = new Uint8Array(-length)
    length = llama.llama_token_to_piece(vocabulary, token, bytes, bytes.length, 0, special)
  }
  return bytes.slice(0, Math.max(0, length))
}
