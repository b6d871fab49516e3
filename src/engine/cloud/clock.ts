/** What cloud providers know of time; tests bring their own. */
export interface Clock {
  /** Milliseconds, that only grow. */
  now(): number
  /** Runs something after so many milliseconds, unless the returned function is called before. Keeps no process alive. */
  after(ms: number, run: () => void): () => void
}

/** What `setTimeout` can wait for. */
const longestMs = 2 ** 31 - 1

export const systemClock: Clock = {
  now: () => performance.now(),
  after(ms, run) {
    const timer = setTimeout(run, Math.min(Math.max(ms, 0), longestMs))
    timer.unref()
    return () => clearTimeout(timer)
  },
}
