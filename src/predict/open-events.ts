import type { GenerateEvent } from '../engine/provider.ts'
import { AppError } from '../errors.ts'

/** The events of a generation that runs, until they end or are closed. */
export type OpenEvents = AsyncIterableIterator<GenerateEvent, undefined> &
  Readonly<{
    /** Ends the generation; also where nobody has begun to read. */
    close(): Promise<void>
  }>

/**
 * Waits for the first event of a generation. `signal` ends the generation at once, whether somebody reads or not; who reads on is thrown
 * `aborted` then, or what the generation makes of it. Not a generator itself: one that was never begun cannot clean up.
 */
export async function openEvents(generation: AsyncGenerator<GenerateEvent, undefined>, signal: AbortSignal): Promise<OpenEvents> {
  let first: IteratorResult<GenerateEvent, undefined> | undefined = await generation.next()
  let hasEnded = false
  let abandoned: Promise<unknown> | undefined

  function abandon(): void {
    // Thrown where the generation waits for its reader. One that has given its last event has not failed.
    const left = hasEnded ? generation.return(undefined) : generation.throw(new AppError('aborted', 'The caller left.'))
    abandoned = left.then(
      () => undefined,
      (error: unknown) => error,
    )
  }
  signal.addEventListener('abort', abandon, { once: true })
  if (signal.aborted) abandon()

  async function close(): Promise<undefined> {
    signal.removeEventListener('abort', abandon)
    first = undefined
    await generation.return(undefined)
  }

  const events: OpenEvents = {
    async next() {
      if (abandoned !== undefined && !hasEnded) throw await abandoned
      const step = first ?? (await generation.next())
      first = undefined
      if (step.done === true) signal.removeEventListener('abort', abandon)
      else hasEnded = step.value.type === 'generation-end'
      return step
    },
    async return() {
      return { done: true, value: await close() }
    },
    close: async () => void (await close()),
    [Symbol.asyncIterator]: () => events,
  }
  return events
}
