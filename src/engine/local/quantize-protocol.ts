import type { ErrorCode } from '../../errors.ts'
import type { Quantization } from '../quantization.ts'

/** A file to be written from another. */
export type QuantizeJob = Readonly<{
  source: string
  /** The file to write; one that is there is replaced. */
  target: string
  quantization: Quantization
  /** The text whose activations make the importance matrix; undefined: none is used. */
  calibrationText: string | undefined
  threads: number
}>

/** Models to compare on a text. */
export type MeasureJob = Readonly<{
  original: string
  /** What was made of the original: measured beside it. */
  result: string | undefined
  text: string
  threads: number
}>

export type ToQuantizer =
  | Readonly<{ type: 'quantize-start'; job: QuantizeJob }>
  | Readonly<{ type: 'measure-start'; job: MeasureJob }>

/** What one model showed on a text. */
export type ModelMeasures = Readonly<{
  /** What llama.cpp calls it, for example `Q4_K - Medium`. */
  quantization: string
  /** Of its weights, without what the file says about them. */
  weightBytes: number
  bitsPerWeight: number
  /** e to the mean negative log-likelihood of the scored tokens, with its standard error. */
  perplexity: number
  perplexityError: number
  /** Generating, one answer at a time. */
  tokensPerSecond: number
}>

/** How far a model is from the one that it was made of, over the same tokens. */
export type Divergence = Readonly<{
  /** Mean Kullback–Leibler divergence of its distributions from the original's, in nats, with its standard error. */
  klDivergence: number
  klDivergenceError: number
  /** Share of tokens where both hold the same token for the likeliest, 0 to 1. */
  topAgreement: number
}>

export type Measurement = Readonly<{
  scoredTokens: number
  chunks: number
  original: ModelMeasures
  result: (ModelMeasures & Divergence) | undefined
}>

/** Chunks are pieces of text of one context each. */
export type QuantizeEvent =
  | Readonly<{ type: 'calibration-progress'; chunk: number; chunks: number }>
  | Readonly<{ type: 'tensor-progress'; tensor: number; tensors: number }>
  /** `fallbackTensors`: those whose shape does not allow the wanted type; they got a larger one. */
  | Readonly<{ type: 'quantize-end'; fallbackTensors: number }>

export type MeasureEvent =
  | Readonly<{ type: 'measure-progress'; chunk: number; chunks: number }>
  | Readonly<{ type: 'measure-end'; measurement: Measurement }>

export type FromQuantizer = QuantizeEvent | MeasureEvent | Readonly<{ type: 'job-failed'; code: ErrorCode; message: string }>
