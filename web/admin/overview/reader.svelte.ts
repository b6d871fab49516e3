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

  async function refresh(): Promise<void> {
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
    const isOld = readAt === undefined || Date.now() - readAt >= everyMs - 100
    if (!isPaused && document.visibilityState === 'visible' && isOld && !isReading) void refresh()
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
      const timer = setInterval(refreshIfDue, everyMs)
      document.addEventListener('visibilitychange', refreshIfDue)
      return () => {
        clearInterval(timer)
        document.removeEventListener('visibilitychange', refreshIfDue)
        current.abort()
      }
    },
  }
}
