import { setImmediate, setTimeout } from 'node:timers'
import type { Redis as Client, RedisOptions } from 'ioredis'
import { AppError } from '../errors.ts'
import { codeOf, createOutage, type OutageOptions, type RedisFailure } from './outage.ts'
import type { Script } from './script.ts'

/** Redis, or Valkey, which may be lost at any moment and comes back by itself. */
export interface Redis {
  /**
   * Runs a script. Undefined where Redis cannot be asked, or does not answer in time: whoever asks has another way. It may have run all the
   * same. Never throws, and takes a few hundred milliseconds at most; while Redis is known to be lost, none.
   */
  run<Answer>(
    script: Script<Answer>,
    keys: readonly string[],
    values: readonly (string | number | Buffer)[],
  ): Promise<Answer | undefined>
  numbers(): RedisNumbers
  close(): Promise<void>
}

/** Since the start, for the metrics. */
export type RedisNumbers = Readonly<{
  isConnected: boolean
  failures: Readonly<Record<RedisFailure, number>>
  /** What had to do without Redis. */
  unanswered: number
}>

export type RedisConnectionOptions = OutageOptions & Readonly<{ url: string }>

/** How long anybody waits for an answer. */
const answerMs = 300
/** How long the start waits for the first connection. */
const startMs = 1000
const longestRetryMs = 1000

/**
 * Connects; resolves when the connection is there, or it is clear that it will take longer. One that is lost is made again for as long as it takes.
 * `url`: `redis://USER:PASSWORD@HOST:PORT/NUMBER`, with `rediss` by TLS. Throws `invalid` for another one.
 */
export async function openRedis({ url, log, now }: RedisConnectionOptions): Promise<Redis> {
  const { Redis: RedisClient } = await import('ioredis')
  const outage = createOutage({ log, now })
  const client = new RedisClient({ ...placeOf(url), ...behaviour })
  let isUsable = false
  let isClosing = false
  let unanswered = 0
  let lastError: unknown
  // Each of them is followed by `close`.
  client.on('error', (error) => {
    lastError = error
  })
  client.on('close', () => {
    isUsable = false
    if (!isClosing) outage.failed('connection', lastError ?? new Error('Redis has closed the connection.'))
  })
  client.on('ready', () => {
    isUsable = !isClosing
    lastError = undefined
    outage.worked()
  })
  await firstOutcome(client)

  function giveUp(error: unknown): void {
    unanswered += 1
    const kind = kindOf(error)
    // A connection that was lost is told of by itself.
    if (!isUsable || kind === 'connection') return
    outage.failed(kind, error)
    if (kind === 'reply' && !elsewhere.has(codeOf(error))) return
    isUsable = false
    client.disconnect(true)
  }

  return {
    async run(script, keys, values) {
      if (!isUsable) {
        unanswered += 1
        return undefined
      }
      try {
        const answer = script.read(await inTime(evaluate(client, script, keys, values)))
        if (isUsable) outage.worked()
        return answer
      } catch (error) {
        giveUp(error)
        return undefined
      }
    },
    numbers: () => ({ isConnected: isUsable, failures: outage.failures(), unanswered }),
    async close() {
      isClosing = true
      isUsable = false
      // Between two attempts nothing is open, and no end is told.
      const isOpen = client.status !== 'end' && client.status !== 'reconnecting'
      const ended = isOpen ? new Promise((resolve) => client.once('end', resolve)) : undefined
      client.disconnect()
      await ended
    },
  }
}

/** A connection for one look, which is not made again, and what it leads to. Throws `invalid` for another address. */
export async function createLookingClient(url: string): Promise<Readonly<{ client: Client; place: string }>> {
  const place = placeOf(url)
  const { Redis: RedisClient } = await import('ioredis')
  const client = new RedisClient({ ...place, ...behaviour, lazyConnect: true, retryStrategy: () => null })
  return { client, place: `${place.host}:${place.port}` }
}

/** What is lost is told at once; a server that hangs is noticed by the connection's own commands, too. */
const behaviour = {
  enableOfflineQueue: false,
  autoResendUnfulfilledCommands: false,
  maxRetriesPerRequest: 0,
  connectTimeout: 1000,
  commandTimeout: 1000,
  disconnectTimeout: 100,
  retryStrategy: (attempt: number) => Math.min(50 * 2 ** attempt, longestRetryMs) * (0.5 + Math.random() / 2),
  connectionName: 'simpleia',
} as const satisfies RedisOptions

/** Taken apart here: the client would let the rest of an address change how it behaves. */
type Place = Pick<RedisOptions, 'host' | 'port' | 'db' | 'username' | 'password' | 'tls'>

function placeOf(url: string): Place {
  try {
    return readPlace(new URL(url))
  } catch (cause) {
    throw new AppError('invalid', 'REDIS_URL: expected redis://USER:PASSWORD@HOST:PORT/NUMBER, or rediss://… for TLS.', { cause })
  }
}

function readPlace({ protocol, hostname, port, username, password, pathname }: URL): Place {
  return {
    host: hostname.replace(/^\[|\]$/g, '') || 'localhost',
    port: port === '' ? 6379 : Number(port),
    db: Number(pathname.slice(1)),
    ...(username === '' ? {} : { username: decodeURIComponent(username) }),
    ...(password === '' ? {} : { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' ? { tls: {} } : {}),
  }
}

function firstOutcome(client: Client): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, startMs)
    const settle = () => {
      clearTimeout(timer)
      resolve()
    }
    client.once('ready', settle)
    client.once('close', settle)
  })
}

async function evaluate<Answer>(
  client: Client,
  { sha1, text }: Script<Answer>,
  keys: readonly string[],
  values: readonly (string | number | Buffer)[],
): Promise<unknown> {
  const rest = [keys.length, ...keys, ...values]
  try {
    return await client.callBuffer('EVALSHA', [sha1, ...rest])
  } catch (error) {
    // It has not run there since Redis started.
    if (codeOf(error) !== 'NOSCRIPT') throw error
    return client.callBuffer('EVAL', [text, ...rest])
  }
}

class LateError extends Error {
  override readonly name = 'LateError'
}

function inTime<T>(promise: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new LateError(`Redis has not answered within ${answerMs} ms.`))
    // Where this process was busy for so long, what has come meanwhile is read first.
    const timer = setTimeout(() => setImmediate(late), answerMs)
    promise.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}

function kindOf(error: unknown): RedisFailure {
  if (error instanceof LateError) return 'timeout'
  return error instanceof TypeError || (error instanceof Error && error.name === 'ReplyError') ? 'reply' : 'connection'
}

/** What a server says that will not do so soon, such as one that has become a replica: another one may be at the address now. */
const elsewhere: ReadonlySet<string> = new Set(['READONLY', 'LOADING', 'MASTERDOWN'])
