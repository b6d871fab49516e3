import { AppError } from '../../errors.ts'

/** A text, or a query and a text, as a model reads it. */
export type EmbedTokens = Readonly<{
  ids: readonly number[]
  /** Where the second text of a pair begins, for models that are told. */
  secondFrom?: number
}>

/**
 * What the batches need of a loaded embedding model or reranker: ONNX Runtime or llama.cpp in the product, a script in tests.
 * Tokens include those that the model puts around a text.
 */
export interface EmbedBackend {
  /** The most tokens of a text, or of a pair. */
  readonly maxTokens: number
  encodeWhole(text: string): EmbedTokens
  cut(tokens: EmbedTokens): EmbedTokens
  /** A query with a text, which is cut. Throws `context_length_exceeded` where the query leaves no room for it. */
  encodePair(query: string, text: string): EmbedTokens
  /** Tokens of a text alone, without those around it. */
  countTokens(text: string): number
  /** A vector of unit length for each text, or for a pair one number from 0 to 1, in their order. */
  evaluate(inputs: readonly EmbedTokens[]): Promise<readonly Float32Array[]>
}

/** From any number to one between 0 and 1, in the same order. */
export const sigmoid = (value: number) => 1 / (1 + Math.exp(-value))

/** Tokens of a text that must fit beside its query, so that there is something to judge. */
export const leastText = 16

/** `queryTokens`: with all that is not the text. */
export function longQuery(queryTokens: number, maxTokens: number): AppError {
  const what = `The query has ${queryTokens} tokens, and the model takes ${maxTokens} for query and text together.`
  return new AppError('context_length_exceeded', `${what} Shorten the query.`)
}
