import type { LoadOptions } from './protocol.ts'
import { missingToGroup } from './row-groups.ts'

/** Tokens of prompt and answer when nothing else is set: enough for a long conversation, little enough for a laptop. */
const usualContext = 4096
/** Tokens that all requests together keep in memory, at least. */
const usualCache = 8192
/** For each answer under way, one more sequence is kept whose beginning may serve again. Each costs a row of scores (1 MB for Gemma). */
const sequencesPerAnswer = 2
/** Rows of scores in any case, so that a single answer can have drafts. */
const fewestOutputs = 16

/** Rows of one batch at most. */
export const batchSize = 512

export type ContextSizes = Readonly<{
  /** Tokens of one request, prompt and answer together. */
  contextSize: number
  /** Tokens that all requests together can keep in memory. */
  cacheSize: number
  sequences: number
  /** Rows with scores of one batch at most. */
  mostOutputs: number
}>

/** How large the context of a model is made that was trained on `trained` tokens. */
export function chooseSizes(options: Pick<LoadOptions, 'contextSize' | 'maxParallel'>, trained: number): ContextSizes {
  const contextSize = Math.min(options.contextSize ?? usualContext, trained)
  const sequences = options.maxParallel * sequencesPerAnswer
  return {
    contextSize,
    cacheSize: Math.max(contextSize, usualCache),
    sequences,
    // Answers that must repeat are filled up to whole groups.
    mostOutputs: Math.max(fewestOutputs, sequences + 1, sequences + missingToGroup(sequences)),
  }
}
