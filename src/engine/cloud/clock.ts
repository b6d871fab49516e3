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

/** Resolves after so many milliseconds; rejects when the signal aborts. Keeps no process alive. */
export function waitOn({ after }: Pick<Clock, 'after'>, ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason)
    const stop = () => {
      forget()
      reject(signal.reason)
    }
    const forget = after(ms, () => {
      signal.removeEventListener('abort', stop)
      resolve()
    })
    signal.addEventListener('abort', stop, { once: true })
  })
}
