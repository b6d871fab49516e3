import type { Addresses } from './addresses.ts'
import type { Clock } from './clock.ts'
import type { Failure } from './cloud-failure.ts'

/** What is done at one server. Leaving the loop ends it there. */
export type Try<T> = Readonly<{ events: AsyncIterable<T>; failureOf(error: unknown): Failure }>

export type TriesOptions = Readonly<{
  addresses: Addresses
  maxRetries: number
  clock: Clock
  random: () => number
  /** By the clock: nothing waits beyond this. */
  endsAtMs: number
}>

const nowhere: ReadonlySet<string> = new Set()
const firstWaitMs = 500
const longestWaitMs = 8000
/** Who is asked to wait longer is told so instead. */
const longestAskedWaitMs = 60_000

/**
 * Tries at one server after the other until an answer begins; what fails after its first event has failed. Where no other server is
 * left, it waits as long as it was asked to, or else longer each time. Throws the last failure, `unavailable` where all servers are
 * down, and what `signal` says.
 */
export async function* tryServers<T>(
  { addresses, maxRetries, clock, random, endsAtMs }: TriesOptions,
  start: (baseUrl: string) => Try<T>,
  signal: AbortSignal,
): AsyncGenerator<T> {
  const tried = new Set<string>()
  const mostTries = Math.max(maxRetries + 1, addresses.count)
  for (let tries = 1; ; tries += 1) {
    const lease = addresses.take(tried)
    tried.add(lease.baseUrl)
    const { events, failureOf } = start(lease.baseUrl)
    let hasBegun = false
    let failure: Failure
    try {
      for await (const event of events) {
        hasBegun = true
        yield event
      }
      return
    } catch (error) {
      failure = failureOf(error)
      if (failure.isServerDown) lease.markDown()
    } finally {
      lease.release()
    }
    if (hasBegun || failure.retry === 'never') throw failure.error
    // Where all are down, the next one says so.
    if (addresses.hasOther(tried) || !addresses.hasOther(nowhere)) continue
    if (tries >= mostTries) throw failure.error
    const waitMs = failure.waitMs ?? backOff(tries, random)
    if (failure.retry === 'elsewhere' || waitMs > Math.min(longestAskedWaitMs, endsAtMs - clock.now())) throw failure.error
    await wait(waitMs, clock, signal)
  }
}

function backOff(tries: number, random: () => number): number {
  return Math.min(firstWaitMs * 2 ** (tries - 1), longestWaitMs) * (1 - random() / 4)
}

async function wait(ms: number, clock: Clock, signal: AbortSignal): Promise<void> {
  const over = Promise.withResolvers<void>()
  const leave = () => over.reject(signal.reason)
  const cancel = clock.after(ms, over.resolve)
  signal.addEventListener('abort', leave, { once: true })
  if (signal.aborted) leave()
  try {
    await over.promise
  } finally {
    cancel()
    signal.removeEventListener('abort', leave)
  }
}
