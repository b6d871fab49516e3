import type { KeyObject } from 'node:crypto'
import type { FastifyBaseLogger } from 'fastify'
import { createSharedTurns } from './auth/shared-turns.ts'
import { openSharedWindows } from './auth/shared-windows.ts'
import { createTurns, type TakeTurn } from './auth/turns.ts'
import { type OpenWindows, openMemoryWindows } from './auth/windows.ts'
import type { Closer } from './closer.ts'
import type { Config } from './config.ts'
import type { Clock } from './engine/cloud/clock.ts'
import { type AnswerCache, createCache } from './predict/cache.ts'
import { createRedisCache } from './predict/redis-cache.ts'
import { openRedis, type RedisNumbers } from './redis/connection.ts'
import { createNames } from './redis/names.ts'

export type SharingParts = Readonly<{
  /** The same in all replicas. */
  secretKey: KeyObject
  log: Pick<FastifyBaseLogger, 'warn' | 'info'>
  version: string
  clock: Clock
}>

/** What all replicas of the service share where REDIS_URL is set; else it is in the memory of this process. */
export type Sharing = Readonly<{
  windows: OpenWindows
  takeTurn: TakeTurn
  cache: AnswerCache
  /** Undefined without Redis. */
  redis: (() => RedisNumbers) | undefined
}>

export async function openSharing(config: Config, parts: SharingParts, closer: Closer): Promise<Sharing> {
  const { secretKey, log, version, clock } = parts
  const { cacheMaxEntries: maxEntries, cacheTtlSeconds: ttlSeconds, redisUrl: url } = config
  const ownTurns = createTurns()
  if (url === undefined) {
    const cache = createCache({ maxEntries, ttlSeconds, now: clock.now })
    return { windows: openMemoryWindows(clock.now), takeTurn: ownTurns, cache, redis: undefined }
  }
  const redis = closer.use(await openRedis({ url, log, now: clock.now }))
  const names = createNames(secretKey)
  return {
    windows: openSharedWindows({ redis, names, now: clock.now }),
    takeTurn: createSharedTurns({ redis, names, ownTurns }),
    cache: createRedisCache({ redis, names, version, maxEntries, ttlSeconds }),
    redis: redis.numbers,
  }
}
