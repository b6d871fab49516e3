import { AppError } from '../errors.ts'

/** One generation that the service has let in. */
type Running = Readonly<{ abort: () => void }>

/** Counts what runs, so that the service can end in order: nothing new, a grace time for the rest, then an end for all. */
export type Lifecycle = ReturnType<typeof createLifecycle>

const shuttingDown = 'The service is shutting down.'
const retryAfterSeconds = 5

/** An engine that does not react to an abort must not keep the service from ending. */
const letGoMs = 1000

export function createLifecycle() {
  const running = new Set<Running>()
  const idleListeners = new Set<() => void>()
  /** What is done for one that was let in is let in, too. */
  const letIn = new WeakSet<AbortSignal>()
  let leaving = false
  let draining = false
  let graceOver = false

  function release(one: Running): void {
    if (!running.delete(one) || running.size > 0) return
    for (const listener of idleListeners) listener()
  }

  function whenIdle(): Promise<void> {
    if (running.size === 0) return Promise.resolve()
    return new Promise((resolve) => idleListeners.add(resolve))
  }

  return {
    /** Whether it is to be stopped: nobody should send anything more, though what comes may still be answered. */
    isLeaving: () => leaving,
    leave(): void {
      leaving = true
    },
    isDraining: () => draining,
    running: () => running.size,
    /** Throws `unavailable` while the service ends, but for a signal that it gave itself. */
    admit(signal: AbortSignal) {
      if (draining && !letIn.has(signal)) throw new AppError('unavailable', shuttingDown, { retryAfterSeconds })
      const controller = new AbortController()
      const abort = () => controller.abort()
      const one = { abort }
      running.add(one)
      letIn.add(controller.signal)
      if (signal.aborted) abort()
      else signal.addEventListener('abort', abort, { once: true })
      return {
        signal: controller.signal,
        release: () => {
          signal.removeEventListener('abort', abort)
          release(one)
        },
      }
    },
    ended: () => (graceOver ? new AppError('unavailable', shuttingDown, { retryAfterSeconds }) : undefined),
    /** Lets nothing new in, waits for what runs, at most `graceMs`; then ends it and waits a moment until it has let go. */
    async drain(graceMs: number): Promise<void> {
      leaving = true
      draining = true
      await within(graceMs, whenIdle())
      graceOver = true
      for (const one of running) one.abort()
      await within(letGoMs, whenIdle())
      // Who has let go still tells its caller why.
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

async function within(limitMs: number, work: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, limitMs)
  })
  await Promise.race([work, limit])
  clearTimeout(timer)
}
