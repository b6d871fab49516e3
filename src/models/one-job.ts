import { AppError } from '../errors.ts'

/** Work that writes new models: one at a time, as each wants the whole machine and its disk. */
export interface OneJob {
  /** Gives the events of the work, whose signal is that of `signal` and of the end of the service. Throws `busy` while other work runs. */
  run<T>(work: (signal: AbortSignal) => AsyncGenerator<T>, signal: AbortSignal): AsyncGenerator<T>
  /** Stops what is running and resolves when it has ended. */
  close(): Promise<void>
}

export function createOneJob(): OneJob {
  const stopping = new AbortController()
  let running: Promise<void> | undefined

  return {
    async *run(work, signal) {
      if (running !== undefined)
        throw new AppError('busy', 'Another model is being made. Try again when it is done.', { retryAfterSeconds: 60 })
      const ended = Promise.withResolvers<void>()
      running = ended.promise
      try {
        yield* work(AbortSignal.any([signal, stopping.signal]))
      } finally {
        running = undefined
        ended.resolve()
      }
    },
    async close() {
      stopping.abort()
      await running
    },
  }
}
