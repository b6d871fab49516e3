import type { FastifyBaseLogger } from 'fastify'

/** `connection`: it was lost, or could not be made; `timeout`: an answer did not come in time; `reply`: Redis has refused something. */
export type RedisFailure = 'connection' | 'timeout' | 'reply'

export type Outage = Readonly<{
  /** Counts a failure, and logs the first one of an outage. */
  failed(kind: RedisFailure, error: unknown): void
  /** Something has worked: the outage is over, and that is logged. */
  worked(): void
  failures(): Readonly<Record<RedisFailure, number>>
}>

export type OutageOptions = Readonly<{
  log: Pick<FastifyBaseLogger, 'warn' | 'info'>
  /** Milliseconds that only grow. */
  now: () => number
}>

/** Where Redis refuses some things and does others (its memory is full, say), the outage lasts until it has refused nothing for so long. */
const quietMs = 10_000

export function createOutage({ log, now }: OutageOptions): Outage {
  const failures: Record<RedisFailure, number> = { connection: 0, timeout: 0, reply: 0 }
  let isOut = false
  let quietFrom = 0
  return {
    failed(kind, error) {
      failures[kind] += 1
      if (kind === 'reply') quietFrom = now() + quietMs
      if (isOut) return
      isOut = true
      log.warn({ err: tellable(error) }, `${explain(kind, error)} Until then this process counts and remembers for itself.`)
    },
    worked() {
      if (!isOut || now() < quietFrom) return
      isOut = false
      log.info('Redis answers again; limits and cached answers are shared again.')
    },
    failures: () => ({ ...failures }),
  }
}

/** How an answer of Redis that is an error begins, such as `NOAUTH`; empty for what is none. */
export function codeOf(error: unknown): string {
  return error instanceof Error ? (/^[A-Z]{3,}(?=[ :])/.exec(error.message)?.[0] ?? '') : ''
}

/** The errors of the client hold the command, with its password or what was to be kept; some of Redis repeat it. */
function tellable(error: unknown): unknown {
  if (!(error instanceof Error) || !('command' in error)) return error
  return new Error(error.message.replace(/,? with args.*$/s, ''))
}

/** Never with the address, in which there may be a password. */
function explain(kind: RedisFailure, error: unknown): string {
  const code = codeOf(error)
  if (['WRONGPASS', 'NOAUTH', 'NOPERM', 'ERR'].includes(code) && kind === 'connection') {
    return `Redis lets nobody in with the user and password of REDIS_URL (${code}); it is tried again.`
  }
  if (kind === 'reply')
    return `Redis refuses what it is asked (${code === '' ? 'without a reason' : code}); it is asked again with each request.`
  if (kind === 'timeout') return 'Redis does not answer in time; it is tried again.'
  return 'Redis cannot be reached; it is tried again. If this lasts, check REDIS_URL.'
}
