import type { QueryEnd } from '../../../src/rag/query-schema.ts'

/** The service's own where a question names none: where no passage is this near, the model is not asked. */
export const threshold = 0.25

export type Time = Readonly<{
  name: 'untilSources' | 'inQueue' | 'promptTime' | 'answerTime' | 'wholeTime'
  ms: number
  tokens?: number
}>

/** Where the time went, in the order in which it did. What took none is left out. */
export function toTimes(
  outcome: Pick<QueryEnd, 'timings' | 'usage'> & Readonly<{ sourcesMs: number; wholeMs: number }>,
): readonly Time[] {
  const { timings, usage, sourcesMs, wholeMs } = outcome
  const ofModel: readonly Time[] =
    timings === null
      ? []
      : [
          { name: 'inQueue', ms: timings.queue_ms },
          { name: 'promptTime', ms: timings.prompt_ms, tokens: usage?.prompt_tokens ?? 0 },
          { name: 'answerTime', ms: timings.generation_ms, tokens: usage?.completion_tokens ?? 0 },
        ]
  const untilSources: Time = { name: 'untilSources', ms: sourcesMs }
  return [untilSources, ...ofModel, { name: 'wholeTime' as const, ms: wholeMs }].filter(({ ms }) => ms > 0)
}
