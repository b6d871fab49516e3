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

/** The embedding models of this machine, each in a process of its own that starts when it is needed. */
export interface Embedders {
  /** Serves who names no model. It need not be installed: then each use says so. */
  readonly usual: Embedder
  /** An installed embedding model by any of its names; undefined where there is none. */
  find(name: string): Promise<Embedder | undefined>
  /** Names of the installed ones, in alphabetical order. */
  list(): Promise<readonly string[]>
  close(): Promise<void>
}

export type Reranking = Readonly<{
  /** One number from 0 to 1 for each text, in their order; higher is better. */
  scores: readonly number[]
  /** Tokens of query and text together, as the model saw them. */
  tokens: readonly number[]
}>

/** Something that says how well each text answers a query, by reading both together. */
export interface Reranker {
  /** The name of the model. */
  readonly name: string
  /** Long texts are cut. Throws as `Embedder.encode`; a query that leaves no room for a text is `context_length_exceeded`. */
  rerank(request: Readonly<{ query: string; texts: readonly string[] }>, signal: AbortSignal): Promise<Reranking>
  close(): Promise<void>
}

/** The rerankers of this machine. */
export interface Rerankers {
  /** An installed one by any of its names, or the first one for undefined; undefined where there is none. */
  find(name: string | undefined): Promise<Reranker | undefined>
  /** Names of the installed ones, in alphabetical order. */
  list(): Promise<readonly string[]>
  close(): Promise<void>
}
