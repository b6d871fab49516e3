import type { SubjectState } from './meter.ts'
import { nextDayMs, tokensOf } from './usage-days.ts'

type Shown = Readonly<{ limit: number; remaining: number; resetSeconds: number }>

export type ShownLimitsOptions = Readonly<{
  /** The window of the rate limit, where the request counts in one. */
  window: Shown | undefined
  quotas: readonly SubjectState[]
  /** Requests that are let in, but not counted in the quotas yet. */
  pending: number
  nowMs: number
}>

/** The limits on requests and tokens that a caller will reach first. */
export function toShownLimits({ window, quotas, pending, nowMs }: ShownLimitsOptions) {
  const resetSeconds = Math.ceil((nextDayMs(nowMs) - nowMs) / 1000)
  const toShown = (limit: number, used: number): Shown => ({ limit, remaining: Math.max(0, limit - used), resetSeconds })
  const requests = quotas.flatMap(({ limits, used }) =>
    limits.requests === undefined ? [] : [toShown(limits.requests, used.requests + pending)],
  )
  const tokens = quotas.flatMap(({ limits, used }) =>
    limits.tokens === undefined ? [] : [toShown(limits.tokens, tokensOf(used))],
  )
  return { requests: nearest([...(window === undefined ? [] : [window]), ...requests]), tokens: nearest(tokens) }
}

function nearest(limits: readonly Shown[]): Shown | undefined {
  // Where both are used up, the one that lasts longer counts.
  return limits.toSorted((one, other) => one.remaining - other.remaining || other.resetSeconds - one.resetSeconds)[0]
}
