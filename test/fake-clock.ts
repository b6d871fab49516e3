import { setImmediate } from 'node:timers/promises'
import type { Clock } from '../src/engine/cloud/clock.ts'

type Timer = { readonly ms: number; readonly at: number; readonly run: () => void }

/** Time that passes only when it is told to. */
export function createFakeClock(): Clock & {
  advance(ms: number): void
  /** Resolves once something waits for just so long. */
  awaited(ms: number): Promise<void>
  /** What waits, in milliseconds from when it began. */
  waits(): readonly number[]
} {
  let now = 0
  const timers = new Set<Timer>()
  const waits = () => [...timers].map(({ ms }) => ms)
  return {
    now: () => now,
    after(ms, run) {
      const timer = { ms, at: now + ms, run }
      timers.add(timer)
      return () => timers.delete(timer)
    },
    advance(ms) {
      const end = now + ms
      for (;;) {
        const next = [...timers].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)[0]
        if (next === undefined) break
        timers.delete(next)
        now = Math.max(now, next.at)
        next.run()
      }
      now = end
    },
    async awaited(ms) {
      while (!waits().includes(ms)) await setImmediate()
    },
    waits,
  }
}
