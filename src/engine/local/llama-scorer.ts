import { AppError } from '../../errors.ts'
import type { PromptPart } from '../chat-template-tokens.ts'
import { createEvaluator, type Evaluation, evaluationBatch } from './evaluation.ts'
import type { Llama, Pointer } from './libllama.ts'
import { tokenizePart } from './llama-backend.ts'
import { describeFile, type FileFacts } from './llama-model.ts'
import { normalize } from './token-scores.ts'

/** The tokenizer of a model, and what its file says of conversations. */
export interface Vocabulary extends FileFacts {
  /** What texts begin with, where the model adds something: `tokenize` does not. */
  readonly bos: number | undefined
  /** What ends a text; undefined where the model has none. */
  readonly eos: number | undefined
  /** Whether an answer ends with this token. */
  isEndOfGeneration(token: number): boolean
  /** Each part by itself, so that what a user typed next to a control token stays text. Adds no BOS; a template may write one. */
  tokenize(prompt: readonly PromptPart[]): number[]
  close(): void
}

/** A model that tells how likely it finds a text. */
export interface LlamaScorer extends Vocabulary {
  /** Tokens of one text at most: as many as were asked for, or those that the model was trained for. */
  readonly contextSize: number
  /**
   * The natural logarithm of the probability of each target. `targetAt`: the index of the token before each, ascending; the text is
   * evaluated up to the last of them. [targets]. Throws `invalid` when the text is longer than the context.
   */
  score(tokens: ArrayLike<number>, targetAt: ArrayLike<number>, targets: ArrayLike<number>): Float32Array
}

export type ScorerOptions = Readonly<{
  path: string
  /** A LoRA adapter that is added to the model. */
  adapterPath?: string | undefined
  /** Tokens of one text at most. */
  contextSize: number
  threads: number
}>

/** Rows of scores at a time: each costs the library 4 bytes for each token of the vocabulary, twice. */
const rowsAtOnce = 64

/**
 * Loads a model, on the CPU, where the same text has the same scores on all machines. Only for child processes: it blocks. Throws
 * `invalid` when the file is no whole model that predicts tokens or the adapter is none for it, `unavailable` when memory does not suffice.
 */
export function openLlamaScorer(llama: Llama, { path, adapterPath, contextSize, threads }: ScorerOptions): LlamaScorer {
  const adapter = adapterPath === undefined ? {} : { adapterPath }
  const evaluation = createEvaluator({ llama, threads, now: () => performance.now(), cpuTime }).open({
    path,
    ...adapter,
    contextSize,
    mostOutputs: Math.min(rowsAtOnce, contextSize),
  })
  const longest = Math.min(contextSize, llama.llama_model_n_ctx_train(evaluation.model))
  return {
    ...readVocabulary(llama, evaluation.model),
    contextSize: longest,
    score(tokens, targetAt, targets) {
      if (targetAt.length !== targets.length)
        throw new AppError('internal', `There are ${targets.length} targets at ${targetAt.length} places.`)
      if (tokens.length > longest)
        throw new AppError('invalid', `The text has ${tokens.length} tokens; at most ${longest} can be scored.`)
      return scoreText(evaluation, tokens, targetAt, targets)
    },
    close: evaluation.close,
  }
}

/** The tokenizer of a model whose weights are not loaded. Throws `invalid` when the file is no model of llama.cpp. */
export function openVocabulary(llama: Llama, path: string): Vocabulary {
  const model = llama.llama_model_load_from_file(path, {
    ...llama.llama_model_default_params(),
    n_gpu_layers: 0,
    vocab_only: true,
  })
  if (model === null) throw new AppError('invalid', 'The file is not a model that this version of llama.cpp can read.')
  return { ...readVocabulary(llama, model), close: () => void llama.llama_model_free(model) }
}

function readVocabulary(llama: Llama, model: Pointer): Omit<Vocabulary, 'close'> {
  const vocabulary = llama.llama_model_get_vocab(model)
  const [bos, eos] = [llama.llama_vocab_bos(vocabulary), llama.llama_vocab_eos(vocabulary)]
  return {
    ...describeFile(llama, model, vocabulary),
    bos: llama.llama_vocab_get_add_bos(vocabulary) && bos >= 0 ? bos : undefined,
    eos: eos >= 0 ? eos : undefined,
    isEndOfGeneration: (token) => llama.llama_vocab_is_eog(vocabulary, token),
    tokenize: (prompt) => prompt.flatMap(({ text, special }) => tokenizePart(llama, vocabulary, text, special)),
  }
}

function scoreText(
  model: Evaluation,
  tokens: ArrayLike<number>,
  targetAt: ArrayLike<number>,
  targets: ArrayLike<number>,
): Float32Array {
  const logprobs = new Float32Array(targets.length)
  const length = checkPlaces(model, tokens, targetAt, targets)
  model.clear()
  let next = 0
  for (let from = 0; from < length; ) {
    const first = next
    const wanted = new Set<number>()
    let to = from
    for (; to < length && to - from < evaluationBatch; to += 1) {
      if (targetAt[next] !== to) continue
      if (wanted.size === rowsAtOnce) break
      wanted.add(to - from)
      while (targetAt[next] === to) next += 1
    }
    const piece = Array.from({ length: to - from }, (_, index) => tokens[from + index] ?? 0)
    model.evaluate(piece, from, wanted)
    readLogprobs(model, { from, first, next, targetAt, targets, logprobs })
    from = to
  }
  return logprobs
}

/** How many tokens have to be evaluated. The library ends the process for tokens that it does not have. */
function checkPlaces(
  { vocabularySize }: Evaluation,
  tokens: ArrayLike<number>,
  targetAt: ArrayLike<number>,
  targets: ArrayLike<number>,
): number {
  const isToken = (token: number) => Number.isInteger(token) && token >= 0 && token < vocabularySize
  for (const list of [tokens, targets]) {
    const wrong = Array.from(list).find((token) => !isToken(token))
    if (wrong !== undefined) throw new AppError('internal', `The model has ${vocabularySize} tokens, but not ${wrong}.`)
  }
  let last = -1
  for (const at of Array.from(targetAt)) {
    if (!Number.isInteger(at) || at < Math.max(last, 0) || at >= tokens.length)
      throw new AppError('internal', `A target after token ${at} of ${tokens.length}, where they must ascend.`)
    last = at
  }
  return last + 1
}

type Batch = Readonly<{
  /** Where the batch begins in the text. */
  from: number
  /** Its targets. */
  first: number
  next: number
  targetAt: ArrayLike<number>
  targets: ArrayLike<number>
  logprobs: Float32Array
}>

function readLogprobs(model: Evaluation, { from, first, next, targetAt, targets, logprobs }: Batch): void {
  let row: Readonly<{ at: number; scores: Float32Array; logSum: number }> = { at: -1, scores: new Float32Array(), logSum: 0 }
  for (let index = first; index < next; index += 1) {
    const at = targetAt[index] ?? 0
    if (at !== row.at) {
      const scores = model.scores(at - from)
      row = { at, scores, logSum: normalize(scores).logSum }
    }
    logprobs[index] = (row.scores[targets[index] ?? 0] ?? 0) - row.logSum
  }
}

function cpuTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}
