import type { ErrorCode } from '../../errors.ts'

/** A model for ONNX Runtime, with its tokenizer. */
export type EmbedModel = Readonly<{
  /** Holds model.onnx, tokenizer.json and tokenizer_config.json. */
  folder: string
  pooling: 'mean' | 'cls' | 'last'
  /** The most tokens of a text. */
  maxTokens: number
  threads: number
}>

export type ToEmbedWorker =
  | Readonly<{ type: 'model-load'; model: EmbedModel }>
  | Readonly<{ type: 'embed-start'; id: number; texts: readonly string[]; truncate: boolean }>
  | Readonly<{ type: 'embed-cancel'; id: number }>
  | Readonly<{ type: 'tokens-count'; id: number; texts: readonly string[] }>

export type FromEmbedWorker =
  | Readonly<{ type: 'model-ready' }>
  | Readonly<{ type: 'model-failed'; code: ErrorCode; message: string }>
  | Readonly<{
      type: 'embed-end'
      id: number
      vectors: readonly Float32Array[]
      tokens: readonly number[]
      truncated: readonly boolean[]
    }>
  | Readonly<{ type: 'tokens-counted'; id: number; counts: readonly number[] }>
  | Readonly<{ type: 'embed-failed'; id: number; code: ErrorCode; message: string }>
