import { AppError } from '../../errors.ts'
import type { RequestQueue } from '../local/request-queue.ts'
import type { GenerateRequest, Usage } from '../provider.ts'
import type { Addresses } from './addresses.ts'
import { type Failure, toFailure } from './cloud-failure.ts'
import type { CloudOptions } from './cloud-options.ts'
import type { EgressCall } from './egress.ts'
import { createGuardedFetch } from './guarded-fetch.ts'
import { type Try, tryServers } from './tries.ts'
import { createWatch } from './watch.ts'
import type { Prepared } from './wire.ts'

type ErrandParts = Readonly<{ options: CloudOptions; addresses: Addresses; queue: RequestQueue }>

type Errand<T> = Readonly<{
  purpose: 'answer' | 'token-count'
  prepared: Prepared<T>
  request: Pick<GenerateRequest, 'user' | 'model'>
  /** It has a place, and leaves now. */
  onSend?: () => void
  /** What the other side counts for a piece of the answer, where it does. */
  usageOf?: (event: T) => Usage | undefined
}>

/**
 * One request, with all of its tries, in its turn and in the ledger. Throws `busy`, `aborted`, `forbidden` (LOCAL_ONLY), `unavailable`
 * (all servers are down) and what `toFailure` makes of what fails.
 */
export async function* runErrand<T>(parts: ErrandParts, errand: Errand<T>, signal: AbortSignal): AsyncGenerator<T> {
  const { options, addresses, queue } = parts
  const { purpose, prepared, request, onSend, usageOf } = errand
  const { name, egress, clock, timeouts, maxRetries, random } = options
  const endsAtMs = clock.now() + timeouts.totalMs
  const release = await queue.acquire(request.user, 1, signal)
  const call = egress.begin({ purpose, user: request.user, provider: name, model: request.model })
  const start = (baseUrl: string) => startTry(options, { prepared, call, baseUrl, endsAtMs, model: request.model }, signal)
  try {
    onSend?.()
    for await (const event of tryServers({ addresses, maxRetries, clock, random, endsAtMs }, start, signal)) {
      const usage = usageOf?.(event)
      if (usage !== undefined) call.used(usage)
      yield event
    }
  } catch (error) {
    throw signal.aborted ? gaveUp() : error
  } finally {
    release()
    await call.end()
  }
}

type TryParts<T> = Readonly<{ prepared: Prepared<T>; call: EgressCall; baseUrl: string; endsAtMs: number; model: string }>

function startTry<T>(options: CloudOptions, parts: TryParts<T>, signal: AbortSignal): Try<T> {
  const { name, clock, timeouts, apiKey } = options
  const { prepared, call, baseUrl, endsAtMs, model } = parts
  const watch = createWatch({ provider: name, timeouts, totalLeftMs: endsAtMs - clock.now(), clock }, signal)
  const headers = headersOf(options, prepared)
  const fetch = createGuardedFetch({ provider: name, fetch: call.fetch, headers, expects: prepared.expects, watch })
  async function* events(): AsyncGenerator<T> {
    try {
      for await (const event of prepared.send({ baseUrl, fetch, signal: watch.signal })) {
        watch.begun()
        yield event
      }
    } finally {
      watch.end()
    }
  }
  // What a client throws once a watch has stopped it tells nothing.
  const failureOf = (error: unknown): Failure =>
    toFailure(watch.failure ?? (signal.aborted ? gaveUp() : error), { provider: name, model, apiKey })
  return { events: events(), failureOf }
}

/** All that a request tells of itself, and its key. */
export function headersOf(
  { apiKey = '' }: Pick<CloudOptions, 'apiKey'>,
  { headers = {}, keyHeader }: Partial<Pick<Prepared<unknown>, 'headers' | 'keyHeader'>> = {},
): Record<string, string> {
  const key: Record<string, string> = keyHeader === undefined ? { authorization: `Bearer ${apiKey}` } : { [keyHeader]: apiKey }
  return {
    accept: 'application/json, text/event-stream',
    'content-type': 'application/json',
    'user-agent': 'simpleIA',
    ...(apiKey === '' ? {} : key),
    ...headers,
  }
}

const gaveUp = () => new AppError('aborted', 'The request was given up.')
