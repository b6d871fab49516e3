import type { ErrorCode } from '../../errors.ts'

/** A model for ONNX Runtime with its tokenizer: a folder with model.onnx, tokenizer.json and tokenizer_config.json. */
export type OnnxModelFiles = Readonly<{
  type: 'onnx'
  folder: string
  /** How the vectors of a text's tokens become one. A reranker's file gives one number for each pair already. */
  pooling: 'mean' | 'cls' | 'last'
  maxTokens: number
}>

/** A model for llama.cpp; what it is given at most stands in the file. */
export type GgufModelFile = Readonly<{ type: 'gguf'; path: string }>

export type EmbedModel = Readonly<{
  /** An embedding model makes vectors of texts, a reranker scores texts against a query. */
  kind: 'embedding' | 'reranker'
  files: OnnxModelFiles | GgufModelFile
  /** What stands before a text, for models that were taught to see the difference. */
  prefixes: Readonly<{ query: string; document: string }>
  threads: number
}>

export type ToEmbedWorker =
  | Readonly<{ type: 'model-load'; model: EmbedModel }>
  | Readonly<{ type: 'embed-start'; id: number; texts: readonly string[]; truncate: boolean }>
  /** Answered by `embed-end` with vectors of one number, from 0 to 1. */
  | Readonly<{ type: 'rerank-start'; id: number; query: string; texts: readonly string[] }>
  | Readonly<{ type: 'embed-cancel'; id: number }>
  | Readonly<{ type: 'tokens-count'; id: number; texts: readonly string[] }>

export type FromEmbedWorker =
  /** `maxTokens`: the most tokens of a text with a prefix before it. */
  | Readonly<{ type: 'model-ready'; maxTokens: number }>
  | Readonly<{ type: 'model-failed'; code: ErrorCode; message: string }>
  | Readonly<{
      type: 'embed-end'
      id: number
      vectors: readonly Float32Array[]
      tokens: readonly number[]
      truncated: readonly boolean[]
    }>
  | Readonly<{ type: 'tokens-counted'; id: number; counts: readonly number[] }>
  /** Some more texts are done, and others are still to be. */
  | Readonly<{ type: 'embed-progress' }>
  | Readonly<{ type: 'embed-failed'; id: number; code: ErrorCode; message: string }>
