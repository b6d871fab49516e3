import { AppError } from '../../errors.ts'
import { type EmbedBackend, leastText, longQuery, sigmoid } from './embed-backend.ts'
import { type Batch, type Llama, type Pointer, pointerAt, viewBytes, viewFloats, viewInts } from './libllama.ts'
import { createThreadGovernor } from './thread-governor.ts'
import { toUnitLength } from './unit-length.ts'

/** Tokens that are evaluated together; an encoder must have a text whole in one batch. */
const usualBatch = 512
/** Texts in one batch. */
const mostSequences = 64
/** A text's tokens when nothing else is said: models for longer texts would need gigabytes for the longest one. */
const usualMaxTokens = 2048
/** Where our converter keeps how many tokens the model should be given at most. */
const maxTokensKey = 'simpleia.max_tokens'
/** `llama_pooling_type`: how the vectors of tokens become one for the text. */
const poolings = { none: 0, rank: 4 } as const

export type EmbedderOptions = Readonly<{
  path: string
  threads: number
  /** A reranker scores pairs of texts, anything else makes vectors. */
  kind?: 'embedding' | 'reranker'
  /** Longer texts are cut. When not given: what the model is meant for, 2,048 at most. */
  maxTokens?: number
}>

export interface LlamaEmbedder extends EmbedBackend {
  readonly dimensions: number
  /** With what the model puts before and after a text, and cut to `maxTokens`. */
  tokenize(text: string): readonly number[]
  /** One vector of unit length for each text, in their order. */
  embed(texts: readonly string[]): Float32Array[]
  close(): void
}

/**
 * Loads an embedding model into this process (an engine's child process) on the CPU. Throws `invalid` when the file is no
 * whole model or one that makes no vectors, `unavailable` when memory does not suffice.
 */
export function openLlamaEmbedder(llama: Llama, options: EmbedderOptions): LlamaEmbedder {
  const model = llama.llama_model_load_from_file(options.path, { ...llama.llama_model_default_params(), n_gpu_layers: 0 })
  if (model === null) throw new AppError('invalid', 'The file is not a whole model that this version of llama.cpp can read.')
  const trained = llama.llama_model_n_ctx_train(model)
  const wanted = options.maxTokens ?? readMaxTokens(llama, model) ?? usualMaxTokens
  const maxTokens = Math.min(wanted, trained)
  const batchTokens = Math.max(maxTokens, usualBatch)
  const context = llama.llama_init_from_model(model, {
    ...llama.llama_context_default_params(),
    n_ctx: batchTokens,
    n_batch: batchTokens,
    n_ubatch: batchTokens,
    n_seq_max: mostSequences,
    n_threads: options.threads,
    n_threads_batch: options.threads,
    kv_unified: true,
    embeddings: true,
  })
  const close = () => {
    if (context !== null) llama.llama_free(context)
    llama.llama_model_free(model)
  }
  try {
    if (context === null) throw new AppError('unavailable', 'There is not enough memory for the embedding model.')
    checkKind(llama.llama_pooling_type(context), options.kind ?? 'embedding')
  } catch (error) {
    close()
    throw error
  }
  return createEmbedder({ llama, model, context, threads: options.threads, maxTokens, batchTokens, close })
}

function checkKind(pooling: number, kind: 'embedding' | 'reranker'): void {
  if (kind === 'reranker' && pooling !== poolings.rank)
    throw new AppError('invalid', 'The file holds a model of a kind that scores no pairs of texts.')
  if (kind === 'embedding' && (pooling === poolings.none || pooling === poolings.rank))
    throw new AppError('invalid', 'The file holds a model of a kind that makes no vectors of texts.')
}

type Parts = Readonly<{
  llama: Llama
  model: Pointer
  context: Pointer
  threads: number
  maxTokens: number
  batchTokens: number
  close: () => void
}>

function createEmbedder({ llama, model, context, threads, maxTokens, batchTokens, close }: Parts): LlamaEmbedder {
  const dimensions = llama.llama_model_n_embd_out(model)
  const vocabulary = llama.llama_model_get_vocab(model)
  const memory = llama.llama_get_memory(context)
  const batch = createBatch(llama, batchTokens)
  const readResult = resultReader(llama, model, context)
  const governor = createThreadGovernor({
    threads,
    setThreads: (count) => llama.llama_set_n_threads(context, count, count),
    now: () => performance.now(),
    cpuTime() {
      const { user, system } = process.cpuUsage()
      return (user + system) / 1000
    },
  })

  function evaluateBatch(texts: readonly (readonly number[])[]): Float32Array[] {
    if (memory !== null) llama.llama_memory_seq_rm(memory, -1, -1, -1)
    const filled = batch.fill(texts)
    const result = governor.run(() => llama.llama_decode(context, filled))
    if (result !== 0) throw new AppError('internal', `llama.cpp could not evaluate ${texts.length} texts (code ${result}).`)
    return texts.map((_, sequence) => readResult(sequence))
  }

  const prepare = findPreparation(llama, model)
  const encode = (text: string, special: boolean) => tokenizeText(llama, vocabulary, prepare(text), special)
  const cutIds = (ids: readonly number[]) => cut(llama, vocabulary, ids, maxTokens)
  const tokenize = (text: string) => cutIds(encode(text, true))
  const evaluateAll = (texts: readonly (readonly number[])[]) => pack(texts, batchTokens).flatMap(evaluateBatch)
  return {
    dimensions,
    maxTokens,
    tokenize,
    encodeWhole: (text) => ({ ids: encode(text, true) }),
    cut: ({ ids }) => ({ ids: cutIds(ids) }),
    countTokens: (text) => encode(text, false).length,
    encodePair: pairEncoder({ llama, model, vocabulary, encode, maxTokens }),
    evaluate: async (inputs) => evaluateAll(inputs.map(({ ids }) => ids)),
    embed: (texts) => evaluateAll(texts.map(tokenize)),
    close,
  }
}

/** The vector of a sequence of the last batch; of a reranker one number from 0 to 1. */
function resultReader(llama: Llama, model: Pointer, context: Pointer): (sequence: number) => Float32Array {
  const numbersOf = (sequence: number, count: number) => viewFloats(llama.llama_get_embeddings_seq(context, sequence), count)
  if (llama.llama_pooling_type(context) !== poolings.rank) {
    const dimensions = llama.llama_model_n_embd_out(model)
    return (sequence) => toUnitLength(numbersOf(sequence, dimensions))
  }
  // llama.cpp gives the share of "yes" beside "no" for Qwen3's rerankers, and a plain number for all others.
  const isShare = readText(llama, model, 'general.architecture').startsWith('qwen3')
  return (sequence) => {
    const [score = 0] = numbersOf(sequence, 1)
    return Float32Array.of(isShare ? score : sigmoid(score))
  }
}

type PairParts = Readonly<{
  llama: Llama
  model: Pointer
  vocabulary: Pointer
  encode: (text: string, special: boolean) => readonly number[]
  maxTokens: number
}>

/** How a reranker wants query and text: by the template in its file, else one after the other with separators, as llama-server. */
function pairEncoder({ llama, model, vocabulary, encode, maxTokens }: PairParts): EmbedBackend['encodePair'] {
  const template = llama.llama_model_chat_template(model, 'rerank') ?? undefined
  const bos = llama.llama_vocab_get_add_bos(vocabulary) ? [llama.llama_vocab_bos(vocabulary)] : []
  const end = llama.llama_vocab_eos(vocabulary)
  const eos = llama.llama_vocab_get_add_eos(vocabulary) ? [end < 0 ? llama.llama_vocab_sep(vocabulary) : end] : []
  const separator = llama.llama_vocab_get_add_sep(vocabulary) ? [llama.llama_vocab_sep(vocabulary)] : []
  function around(query: string): Readonly<{ before: readonly number[]; after: readonly number[] }> {
    if (template === undefined) return { before: [...bos, ...encode(query, false), ...eos, ...separator], after: eos }
    const [before = '', after = ''] = template.split('{document}')
    return {
      before: encode(
        before.replaceAll('{query}', () => query),
        false,
      ),
      after: encode(after, false),
    }
  }
  return (query, text) => {
    const { before, after } = around(query)
    const room = maxTokens - before.length - after.length
    if (room < leastText) throw longQuery(before.length + after.length, maxTokens)
    return { ids: [...before, ...encode(text, false).slice(0, room), ...after] }
  }
}

/** Texts in their order, as many together as fit into a batch. */
function pack(texts: readonly (readonly number[])[], batchTokens: number): (readonly number[])[][] {
  const packs: (readonly number[])[][] = []
  let room = 0
  for (const tokens of texts) {
    const last = packs.at(-1)
    if (last === undefined || last.length === mostSequences || tokens.length > room) {
      packs.push([tokens])
      room = batchTokens - tokens.length
    } else {
      last.push(tokens)
      room -= tokens.length
    }
  }
  return packs
}

function createBatch(llama: Llama, size: number) {
  const batch: Batch = llama.llama_batch_init(size, 0, 1)
  const [tokens, positions, counts] = [batch.token, batch.pos, batch.n_seq_id].map((address) => viewInts(address, size))
  const owners = Array.from({ length: size }, (_, row) => viewInts(pointerAt(batch.seq_id, row), 1))
  counts?.fill(1)
  // Pooling needs all of a text's tokens.
  viewBytes(batch.logits, size).fill(1)
  return {
    fill(texts: readonly (readonly number[])[]): Batch {
      let row = 0
      for (const [sequence, text] of texts.entries()) {
        for (const [position, token] of text.entries()) {
          tokens?.fill(token, row, row + 1)
          positions?.fill(position, row, row + 1)
          owners[row]?.fill(sequence)
          row += 1
        }
      }
      batch.n_tokens = row
      return batch
    },
  }
}

/**
 * What a text needs before llama.cpp's WordPiece, so that its tokens are those of the tokenizers that the models were trained
 * with: it takes Korean syllables apart wrongly (only their first letter stays), and splits words of any length, where
 * theirs gives up at 100 characters.
 */
function findPreparation(llama: Llama, model: Pointer): (text: string) => string {
  if (readText(llama, model, 'tokenizer.ggml.model') !== 'bert') return (text) => text
  const stripsAccents = readText(llama, model, 'tokenizer.ggml.normalizer.strip_accents') !== 'false'
  return (text) => (stripsAccents ? text.normalize('NFD') : text).replace(longRun, (run) => (isTooLong(run) ? ' [UNK] ' : run))
}

/** Whatever is not set apart as a word of its own: white space, punctuation, ASCII's symbols, ideographs. */
const longRun = /[^\s\p{P}$+<=>^`|~\p{Script=Han}]{101,}/gu
const isTooLong = (run: string) => [...run.replace(/[\p{M}\p{C}]/gu, '')].length > 100

/** Names of special tokens in a text are taken for them, as the libraries that the models were trained with do. */
function tokenizeText(llama: Llama, vocabulary: Pointer, text: string, special: boolean): readonly number[] {
  const bytes = Buffer.from(text, 'utf8')
  const tokens = new Int32Array(bytes.length * 2 + 8)
  const count = llama.llama_tokenize(vocabulary, bytes, bytes.length, tokens, tokens.length, special, true)
  if (count < 0) throw new AppError('internal', 'llama.cpp could not turn the text into tokens.')
  return [...tokens.subarray(0, count)]
}

/** Cuts the text, not the token that must stand at its end. */
function cut(llama: Llama, vocabulary: Pointer, ids: readonly number[], maxTokens: number): readonly number[] {
  const last = ids.at(-1)
  if (ids.length <= maxTokens || last === undefined) return ids
  if (!llama.llama_vocab_is_control(vocabulary, last)) return ids.slice(0, maxTokens)
  return [...ids.slice(0, maxTokens - 1), last]
}

function readMaxTokens(llama: Llama, model: Pointer): number | undefined {
  const value = Number(readText(llama, model, maxTokensKey))
  return Number.isInteger(value) && value > 0 ? value : undefined
}

/** A short value of the file's metadata; empty when it has none. */
function readText(llama: Llama, model: Pointer, key: string): string {
  const bytes = new Uint8Array(64)
  const length = llama.llama_model_meta_val_str(model, key, bytes, bytes.length)
  return Buffer.from(bytes.subarray(0, Math.max(0, length))).toString('utf8')
}
