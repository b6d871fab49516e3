/** Texts that are to become vectors. */
export type EmbedRequest = Readonly<{
  texts: readonly string[]
  /** Whether a text that is longer than the model's window is cut; otherwise it is refused. */
  truncate: boolean
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
  close(): Promise<void>
}
