import type { QueryEnd } from '../../../src/rag/query-schema.ts'

/** The service's own where a question names none: where no passage is this near, the model is not asked. */
export const threshold = 0.25

export type Time = Readonly<{
  name: 'searchTime' | 'inQueue' | 'promptTime' | 'answerTime' | 'wholeTime'
  ms: number
  tokens?: number
}>

/** Where the time went, in the order in which it did. What took hardly any is left out. */
export function toTimes(
  outcome: Pick<QueryEnd, 'timings' | 'usage'> & Readonly<{ sourcesMs: number; wholeMs: number }>,
): readonly Time[] {
  const { timings, usage, sourcesMs, wholeMs } = outcome
  const whole: Time = { name: 'wholeTime', ms: wholeMs }
  if (timings === null) return [{ name: 'searchTime', ms: sourcesMs }, whole]
  const { queue_ms: queue, prompt_ms: prompt, generation_ms: generation } = timings
  const times: readonly Time[] = [
    // The sources are sent when the model has begun.
    { name: 'searchTime', ms: sourcesMs - queue - prompt },
    { name: 'inQueue', ms: queue },
    { name: 'promptTime', ms: prompt, tokens: usage?.prompt_tokens ?? 0 },
    { name: 'answerTime', ms: generation, tokens: usage?.completion_tokens ?? 0 },
    whole,
  ]
  return times.filter(({ ms }) => ms >= 50)
}
