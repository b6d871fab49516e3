import type { QueryEnd } from '../../../src/rag/query-schema.ts'

type Sentences = QueryEnd['sentences']

/** Where the sentences stand that no source says. */
export const unsupportedSpans = (sentences: Sentences) =>
  sentences.flatMap(({ supported, offset, text }) => (supported === false ? [{ offset, length: text.length }] : []))

/** The sources that say what the answer says without citing them, in the order of their numbers. */
export function uncitedSources(sentences: Sentences): readonly number[] {
  const numbers = sentences.flatMap(({ supported, citations, nearest_source: number }) =>
    supported === true && citations.length === 0 && number !== null ? [number] : [],
  )
  return [...new Set(numbers)].sort((one, other) => one - other)
}
