import type { Timings, Usage } from '../provider.ts'
import type { WireEvent } from './wire.ts'

/** Measures one answer, by the clock of this machine. */
export interface AnswerMeter {
  /** The request leaves. */
  sent(): void
  saw(event: WireEvent): void
  timings(usage: Usage): Timings
}

export function createAnswerMeter(now: () => number): AnswerMeter {
  const arrivedMs = now()
  let sentMs = arrivedMs
  let firstMs: number | undefined
  let lastMs = arrivedMs
  let choices = 0
  return {
    sent() {
      sentMs = now()
    },
    saw({ type }) {
      if (type === 'choice-end') choices += 1
      if (type === 'choice-end' || type === 'usage') return
      lastMs = now()
      firstMs ??= lastMs
    },
    timings({ completionTokens }) {
      const beganMs = firstMs ?? now()
      const generationMs = Math.max(0, lastMs - beganMs)
      const later = completionTokens - choices
      return {
        queueMs: sentMs - arrivedMs,
        promptMs: beganMs - sentMs,
        firstTokenMs: beganMs - arrivedMs,
        generationMs,
        tokensPerSecond: later > 0 && generationMs > 0 ? later / (generationMs / 1000) : 0,
      }
    },
  }
}
