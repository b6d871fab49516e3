/** Texts that are to become vectors. */
export type EmbedRequest = Readonly<{
  texts: readonly string[]
  /** Whether a text that is longer than the model's window is cut; otherwise it is refused. */
  truncate: boolean
  /** What the texts are, for models that were taught to see the difference by a prefix. Default: nothing is put before them. */
  purpose?: 'query' | 'document'
}>

export type Embeddings = Readonly<{
  /** One vector of unit length for each text, in their order: `[texts, dimensions]`. */
  vectors: readonly Float32Array[]
  /** Tokens of each text as the model saw it. */
  tokens: readonly number[]
  /** Whether each text was cut. */
  truncated: readonly boolean[]
}>

/** Something that turns texts into vectors. */
export interface Embedder {
  /** The name of the model. */
  readonly name: string
  /**
   * Throws `context_length_exceeded` with the numbers, `unavailable` (no model is installed, or its process died), `busy`,
   * `aborted`.
   */
  encode(request: EmbedRequest, signal: AbortSignal): Promise<Embeddings>
  /** Tokens of each text alone, whatever its length, without those that the model puts around a text. Throws as `encode`. */
  countTokens(texts: readonly string[], signal: AbortSignal): Promise<readonly number[]>
  /** The most tokens of a text, with those that the model puts around it. Throws `unavailable`. */
  maxTokens(): Promise<number>
  close(): Promise<void>
}

/** Something that says how well each text answers a query, by reading both together. */
export interface Reranker {
  /** The name of the model. */
  readonly name: string
  /** One number for each text, in their order; higher is better. Long texts are cut. Throws as `Embedder.encode`. */
  rerank(request: Readonly<{ query: string; texts: readonly string[] }>, signal: AbortSignal): Promise<readonly number[]>
  close(): Promise<void>
}
