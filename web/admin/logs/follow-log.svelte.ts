import type { LogLine } from '../../../src/admin/schema.ts'
import { AppError, type ErrorCode } from '../../../src/errors.ts'
import { pause } from '../../ui/pause.ts'
import { createLogWindow, mostLines, type ShownLine } from './log-window.ts'

const flushMs = 150
const firstWaitMs = 1000
const longestWaitMs = 15_000
const hopeless: ReadonlySet<ErrorCode> = new Set(['unauthorized', 'forbidden', 'invalid', 'not_found'])

type Follow = (
  filter: Readonly<{ limit: number; level: string }>,
  signal: AbortSignal,
  onOpen: () => void,
) => AsyncIterable<LogLine>

/** Follows the log: a stream that breaks off is taken up again, and what comes in a rush is shown together. */
export function createLogFollower(follow: Follow) {
  let held = createLogWindow()
  let shown = $state.raw<readonly ShownLine[]>([])
  let state = $state<'connecting' | 'following' | 'lost' | 'ended'>('connecting')
  let failure = $state.raw<unknown>(undefined)
  let isPaused = $state(false)
  let waiting = $state(0)
  let arrived: LogLine[] = []

  function flush(): void {
    if (arrived.length === 0) return
    const count = held.add(arrived.splice(0))
    if (isPaused) waiting += count
    else shown = held.lines()
  }

  async function run(level: string, signal: AbortSignal): Promise<void> {
    let waitMs = firstWaitMs
    while (!signal.aborted) {
      try {
        held.restart()
        const onOpen = () => {
          state = 'following'
          failure = undefined
          waitMs = firstWaitMs
        }
        for await (const line of follow({ limit: mostLines, level }, signal, onOpen)) {
          // A page that cannot be seen shows what came only now and then.
          if (arrived.length >= 2 * mostLines) arrived = arrived.slice(-mostLines)
          arrived.push(line)
        }
      } catch (error) {
        if (signal.aborted) return
        // Who may not read it, or asks for nonsense, gets no further by asking again.
        failure = error
        if (error instanceof AppError && hopeless.has(error.code)) {
          state = 'ended'
          return
        }
      }
      if (signal.aborted) return
      state = 'lost'
      await pause(waitMs, signal)
      waitMs = Math.min(2 * waitMs, longestWaitMs)
    }
  }

  return {
    get lines() {
      return shown
    },
    get state() {
      return state
    },
    /** Why there is nothing to follow. */
    get failure() {
      return failure
    },
    get isPaused() {
      return isPaused
    },
    /** Lines that came while it was paused. */
    get waiting() {
      return waiting
    },
    pause(paused: boolean) {
      isPaused = paused
      waiting = 0
      if (!paused) shown = held.lines()
    },
    clear() {
      held.clear()
      shown = []
      waiting = 0
    },
    /** Begins anew with lines of that level and worse. Gives what ends it. */
    start(level: string): () => void {
      const ending = new AbortController()
      arrived = []
      held = createLogWindow()
      shown = []
      waiting = 0
      state = 'connecting'
      failure = undefined
      const timer = setInterval(flush, flushMs)
      void run(level, ending.signal)
      return () => {
        ending.abort()
        clearInterval(timer)
      }
    },
  }
}
