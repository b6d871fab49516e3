/** The linear layers of a block that can have an adapter, by the part of their names in GGUF files. */
export const adaptableModules = ['attn_q', 'attn_k', 'attn_v', 'attn_output', 'ffn_gate', 'ffn_up', 'ffn_down'] as const
export type AdaptableModule = (typeof adaptableModules)[number]

/** Architectures (as GGUF files call them) that can be trained. Mistral is `llama`. */
export const trainableArchitectures = ['gemma3', 'llama', 'qwen2', 'qwen3', 'smollm3'] as const
export type TrainableArchitecture = (typeof trainableArchitectures)[number]

/** Token rows for one evaluation, padded to one length. Several texts may share a row: they do not see each other. */
export type TokenBatch = Readonly<{
  rows: number
  length: number
  /** [rows, length] */
  tokens: Int32Array
  /** Of each token in its own text, from 0. [rows, length] */
  positions: Int32Array
  /** Which text of its row a token belongs to, from 0; −1: padding. [rows, length] */
  segments: Int32Array
  /** Where a token is predicted: the index (row × length + place) of the token before it. [targets] */
  targetAt: Int32Array
  /** The tokens that come there. [targets] */
  targets: Int32Array
}>

/** A matrix of the adapter. `data` is row-major, and is changed in place by who trains. */
export type AdapterParameter = Readonly<{
  /** As in an adapter file: `blk.0.attn_q.weight.lora_a` ([rank, in]) and `….lora_b` ([out, rank]). */
  name: string
  shape: readonly [number, number]
  data: Float32Array
}>

/** Inputs of adapters are zeroed at random while training; the same seed zeroes the same ones. */
export type Dropout = Readonly<{ rate: number; seed: number }>

/** A frozen model with an adapter that can be trained. */
export interface Trainable {
  readonly architecture: TrainableArchitecture
  /** A and B of each adapted layer; new ones have A random (Kaiming uniform, from the seed) and B zero. */
  readonly parameters: readonly AdapterParameter[]
  /** Natural logarithm of the probability of each target. [targets]. `adapted: false`: of the model without its adapter. */
  score(batch: TokenBatch, options?: Readonly<{ adapted: boolean }>): Promise<Float32Array>
  /**
   * The loss −Σ weights[i] · logprob[i] with its gradients, in the order of `parameters`. Weights may have either sign. [targets]
   */
  differentiate(batch: TokenBatch, weights: Float32Array, dropout?: Dropout): Promise<Differentiated>
  close(): Promise<void>
}

export type Differentiated = Readonly<{
  /** [targets] */
  logprobs: Float32Array
  /** Each has the shape of its parameter. */
  gradients: readonly Float32Array[]
}>

export type TrainableOptions = Readonly<{
  /** A GGUF file, of any quantization. */
  path: string
  rank: number
  /** The adapter's output is scaled by alpha / rank. */
  alpha: number
  modules: readonly AdaptableModule[]
  /** Of the random start. */
  seed: number
  threads: number
  device: 'cpu' | 'cuda'
  /** Whether `differentiate` will be given a dropout. */
  drops: boolean
}>
