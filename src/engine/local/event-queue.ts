import { AppError } from '../../errors.ts'

export interface EventQueue<T> extends AsyncIterable<T> {
  push(event: T): void
}

/** Events that are pushed on one side and read with `for await` on the other. Reading throws `aborted` as soon as the signal says so. */
export function createEventQueue<T extends {}>(signal: AbortSignal): EventQueue<T> {
  const events: T[] = []
  let wake = () => {}

  async function* read(): AsyncGenerator<T> {
    const onAbort = () => wake()
    signal.addEventListener('abort', onAbort, { once: true })
    try {
      for (;;) {
        if (signal.aborted) throw new AppError('aborted', 'The request was given up.')
        const event = events.shift()
        if (event !== undefined) yield event
        else
          await new Promise<void>((resolve) => {
            wake = resolve
          })
      }
    } finally {
      signal.removeEventListener('abort', onAbort)
    }
  }

  return {
    push(event) {
      events.push(event)
      wake()
    },
    [Symbol.asyncIterator]: read,
  }
}
