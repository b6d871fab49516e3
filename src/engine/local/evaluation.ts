import { AppError } from '../../errors.ts'
import { type Batch, type Llama, type Pointer, viewFloats } from './libllama.ts'
import { createBatch, loadAdapter, setAdapter, tokenizePart } from './llama-backend.ts'
import { quantizationOf } from './llama-model.ts'
import { createThreadGovernor } from './thread-governor.ts'

export type EvaluationOptions = Readonly<{
  path: string
  /** A LoRA adapter that is added to the model. */
  adapterPath?: string
  /** Tokens that fit. */
  contextSize: number
  /** Rows with scores of one call of `evaluate` at most: each costs the library 4 bytes for each token of the vocabulary, twice. */
  mostOutputs: number
  /** `cb_eval`, from a graph watcher. */
  callback?: Pointer
}>

/** One text at a time through one model, to look at what it computes. */
export interface Evaluation {
  readonly vocabularySize: number
  /** BOS, where the model wants one. */
  readonly firstToken: number | undefined
  readonly quantization: string
  readonly weightBytes: number
  readonly parameters: number
  tokenize(text: string): number[]
  /** Forgets the text so far. */
  clear(): void
  /**
   * Goes on with these tokens, 512 at most; `position` says how many there were. With `outputs`, each gets scores, or those with these
   * indexes. Throws when the model fails.
   */
  evaluate(tokens: readonly number[], position: number, outputs: boolean | ReadonlySet<number>): void
  /** The scores of the row with this index of the last batch: a view that is valid until the next one. */
  scores(row: number): Float32Array
  close(): void
}

export const evaluationBatch = 512

export type EvaluatorParts = Readonly<{ llama: Llama; threads: number; now: () => number; cpuTime: () => number }>

export interface Evaluator {
  /**
   * Throws `invalid` when the file is no whole model that predicts tokens or the adapter is none for it, `unavailable` when memory does
   * not suffice.
   */
  open(options: EvaluationOptions): OpenEvaluation
}

/** With the model itself, for what else is asked of it; it goes with `close`. */
export type OpenEvaluation = Evaluation & Readonly<{ model: Pointer }>

/** What is open at the same time shares the judgement of how many threads the machine has to spare. */
export function createEvaluator({ llama, threads, now, cpuTime }: EvaluatorParts): Evaluator {
  const contexts = new Set<Pointer>()
  let used = threads
  const governor = createThreadGovernor({
    threads,
    setThreads(count) {
      used = count
      for (const context of contexts) llama.llama_set_n_threads(context, count, count)
    },
    now,
    cpuTime,
  })
  return {
    open(options) {
      const model = openModel(llama, options.path)
      const context = openAdapted(llama, model, used, options)
      contexts.add(context)
      const evaluation = createEvaluation({
        llama,
        model,
        context,
        decode: (batch) => governor.run(() => llama.llama_decode(context, batch)),
      })
      warmUp(evaluation)
      return {
        ...evaluation,
        model,
        close() {
          contexts.delete(context)
          evaluation.close()
        },
      }
    },
  }
}

/** Reads the weights in, and lets the governor see with short steps whether the machine is shared: with long ones it takes a minute. */
function warmUp(evaluation: Evaluation): void {
  for (let step = 0; step < warmUpSteps; step += 1) evaluation.evaluate([evaluation.firstToken ?? 0], step, true)
  evaluation.clear()
}

const warmUpSteps = 4

function openModel(llama: Llama, path: string): Pointer {
  const model = llama.llama_model_load_from_file(path, { ...llama.llama_model_default_params(), n_gpu_layers: 0 })
  if (model === null) throw new AppError('invalid', 'The file is not a whole model that this version of llama.cpp can read.')
  if (llama.llama_model_has_decoder(model) && !llama.llama_model_has_encoder(model)) return model
  llama.llama_model_free(model)
  throw new AppError('invalid', notGenerating)
}

const notGenerating = 'The model does not predict tokens: it cannot be measured on a text.'

type Opened = Readonly<{ llama: Llama; model: Pointer; context: Pointer; decode: (batch: Batch) => number }>

function createEvaluation({ llama, model, context, decode }: Opened): Evaluation {
  const memory = llama.llama_get_memory(context)
  const vocabulary = llama.llama_model_get_vocab(model)
  const vocabularySize = llama.llama_vocab_n_tokens(vocabulary)
  const bos = llama.llama_vocab_bos(vocabulary)
  const batch = createBatch(llama)
  return {
    vocabularySize,
    firstToken: llama.llama_vocab_get_add_bos(vocabulary) && bos >= 0 ? bos : undefined,
    quantization: quantizationOf(llama, model),
    weightBytes: Number(llama.llama_model_size(model)),
    parameters: Number(llama.llama_model_n_params(model)),
    tokenize: (text) => tokenizePart(llama, vocabulary, text, false),
    clear: () => void llama.llama_memory_seq_rm(memory, 0, -1, -1),
    evaluate(tokens, position, outputs) {
      const hasScores = (index: number) => (typeof outputs === 'boolean' ? outputs : outputs.has(index))
      const rows = tokens.map((token, index) => ({ token, position: position + index, sequence: 0, output: hasScores(index) }))
      const result = decode(batch.fill(rows))
      if (result !== 0) throw new AppError('internal', `llama.cpp could not evaluate ${tokens.length} tokens (code ${result}).`)
    },
    scores(row) {
      const scores = llama.llama_get_logits_ith(context, row)
      if (scores === null) throw new AppError('invalid', notGenerating)
      return viewFloats(scores, vocabularySize)
    },
    close() {
      llama.llama_free(context)
      llama.llama_model_free(model)
    },
  }
}

/** A context with the adapter of the options. Frees the model when there can be none. */
function openAdapted(llama: Llama, model: Pointer, threads: number, options: EvaluationOptions): Pointer {
  try {
    const { adapterPath } = options
    const adapter = adapterPath === undefined ? undefined : loadAdapter(llama, model, adapterPath, 'The file of the adapter')
    const context = openContext(llama, model, threads, options)
    if (!setAdapter(llama, context, adapter)) throw new AppError('internal', 'llama.cpp cannot use the adapter.')
    return context
  } catch (error) {
    llama.llama_model_free(model)
    throw error
  }
}

function openContext(llama: Llama, model: Pointer, threads: number, options: EvaluationOptions): Pointer {
  const { contextSize, mostOutputs, callback = null } = options
  const context = llama.llama_init_from_model(model, {
    ...llama.llama_context_default_params(),
    n_ctx: contextSize,
    n_batch: evaluationBatch,
    n_ubatch: evaluationBatch,
    n_seq_max: 1,
    n_outputs_max: mostOutputs,
    n_threads: threads,
    n_threads_batch: threads,
    cb_eval: callback,
  })
  if (context !== null) return context
  throw new AppError('unavailable', 'There is not enough memory to evaluate the model.')
}
