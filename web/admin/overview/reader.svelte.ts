import { AppError } from '../../../src/errors.ts'

const everyMs = 30_000

/** Reads something now and every 30 s while the page can be seen. What was read stays when a later read fails. */
export function createReader<Value>(read: (signal: AbortSignal) => Promise<Value>) {
  let value = $state.raw<Value | undefined>(undefined)
  let failure = $state.raw<unknown>(undefined)
  let readAt = $state<number | undefined>(undefined)
  let isReading = $state(false)
  let isPaused = $state(false)
  let current = new AbortController()
  let begunAt = Number.NEGATIVE_INFINITY
  let timer: ReturnType<typeof setTimeout> | undefined

  async function refresh(): Promise<void> {
    begunAt = Date.now()
    if (timer !== undefined) wait()
    current.abort()
    const mine = new AbortController()
    current = mine
    isReading = true
    try {
      const next = await read(mine.signal)
      if (mine.signal.aborted) return
      value = next
      failure = undefined
      readAt = Date.now()
    } catch (error) {
      if (!mine.signal.aborted && !(error instanceof AppError && error.code === 'aborted')) failure = error
    } finally {
      if (current === mine) isReading = false
    }
  }

  function refreshIfDue(): void {
    const isOld = Date.now() - begunAt >= everyMs - 50
    if (!isPaused && document.visibilityState === 'visible' && isOld) void refresh()
  }

  /** A while after the read that began last. */
  function wait(): void {
    clearTimeout(timer)
    timer = setTimeout(() => {
      wait()
      refreshIfDue()
    }, everyMs)
  }

  return {
    get value() {
      return value
    },
    get failure() {
      return failure
    },
    get readAt() {
      return readAt
    },
    get isReading() {
      return isReading
    },
    get isPaused() {
      return isPaused
    },
    refresh,
    pause(paused: boolean) {
      isPaused = paused
      refreshIfDue()
    },
    /** For an effect: gives what ends it. */
    follow() {
      wait()
      document.addEventListener('visibilitychange', refreshIfDue)
      return () => {
        clearTimeout(timer)
        timer = undefined
        document.removeEventListener('visibilitychange', refreshIfDue)
        current.abort()
      }
    },
  }
}
