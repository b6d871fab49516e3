/** A statement that takes so long waits for a disk, or for other statements. */
const slowSeconds = 1
/** What was slow is told for so long. */
const toldMs = 60_000

export type SlowStatements = Readonly<{
  /** A statement has ended. */
  saw(seconds: number): void
  /** Whether one was slow within the last minute. */
  isSlow(): boolean
}>

/** `now`: milliseconds that only grow. */
export function createSlowStatements(now: () => number): SlowStatements {
  let slowAt = Number.NEGATIVE_INFINITY
  return {
    saw(seconds) {
      if (seconds >= slowSeconds) slowAt = now()
    },
    isSlow: () => now() - slowAt < toldMs,
  }
}
