import type { Redis } from '../redis/connection.ts'
import type { RedisNames } from '../redis/names.ts'
import { createScript, readList, readNumber } from '../redis/script.ts'
import { createAnswerCodec } from './answer-codec.ts'
import { type AnswerCache, type CacheOptions, noCache, sizeOfAnswer } from './cache.ts'

export type RedisCacheOptions = Pick<CacheOptions, 'maxEntries' | 'ttlSeconds'> &
  Readonly<{
    redis: Pick<Redis, 'run'>
    names: RedisNames
    /** Of the program: another one may answer otherwise. */
    version: string
    maxAnswerBytes?: number
    maxBytes?: number
  }>

/**
 * Whole answers in Redis, for all replicas: least recently used out first, by the clock of Redis. Answers of more than `maxAnswerBytes` are not
 * kept, and of all together no more than `maxBytes`. What cannot be had from Redis, or is not what this installation wrote there, is a miss.
 * `statistics` tells the hits, misses and evictions of this process, and the entries as it has seen them last.
 */
export function createRedisCache(options: RedisCacheOptions): AnswerCache {
  const { redis, names, version, maxEntries, ttlSeconds, maxAnswerBytes = 1024 * 1024, maxBytes = 64 * 1024 * 1024 } = options
  if (maxEntries === 0 || ttlSeconds === 0) return noCache
  const codec = createAnswerCodec(names.secretOf('answers'))
  const index = names.keyOf('answers', 'index')
  const sizes = names.keyOf('answers', 'sizes')
  const keyOf = (key: string) => names.keyOf('answer', `${version} ${key}`)
  const statistics = { entries: 0, hits: 0, misses: 0, evictions: 0 }

  return {
    async find(key) {
      const found = await redis.run(find, [index, keyOf(key)], [])
      const answer = found?.stored === undefined ? undefined : codec.decode(key, found.stored)
      statistics.entries = found?.entries ?? statistics.entries
      statistics[answer === undefined ? 'misses' : 'hits'] += 1
      return answer
    },
    async save(key, answer) {
      // Before it is written out, which would take its time for a very long one.
      if (sizeOfAnswer(answer) > maxAnswerBytes) return
      const stored = codec.encode(key, answer)
      if (stored.length > maxAnswerBytes) return
      const saved = await redis.run(save, [index, sizes, keyOf(key)], [stored, ttlSeconds * 1000, maxEntries, maxBytes])
      if (saved === undefined) return
      statistics.entries = saved.entries
      statistics.evictions += saved.evicted
    },
    statistics: () => ({ ...statistics }),
  }
}

const find = createScript(
  `local stored = redis.call('GET', KEYS[2])
if stored then
  local time = redis.call('TIME')
  redis.call('ZADD', KEYS[1], 'XX', time[1] * 1000000 + time[2], KEYS[2])
end
return { stored, redis.call('ZCARD', KEYS[1]) }`,
  (reply) => {
    const [stored, entries] = readList(reply)
    return { stored: Buffer.isBuffer(stored) ? stored : undefined, entries: readNumber(entries) }
  },
)

// The index orders the entries by their last use; the sizes tell what each takes, and all. Where Redis has dropped one of the two for want
// of memory, they begin anew, and entries that are in none of them end with their time.
const save = createScript(
  `local index, sizes, key = KEYS[1], KEYS[2], KEYS[3]
local stored, ttl, most, room = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local function forget(entry)
  local size = redis.call('HGET', sizes, entry)
  redis.call('ZREM', index, entry)
  redis.call('HDEL', sizes, entry)
  if size then redis.call('HINCRBY', sizes, 'all', -size) end
  return redis.call('DEL', entry)
end
if redis.call('EXISTS', index, sizes) == 1 then redis.call('DEL', index, sizes) end
for _, ended in ipairs(redis.call('ZRANGEBYSCORE', index, '-inf', now - ttl * 1000, 'LIMIT', 0, 100)) do forget(ended) end
forget(key)
local evicted = 0
while redis.call('ZCARD', index) >= most or (redis.call('HGET', sizes, 'all') or 0) + #stored > room do
  local oldest = redis.call('ZRANGE', index, 0, 0)[1]
  if not oldest then break end
  evicted = evicted + forget(oldest)
end
redis.call('SET', key, stored, 'PX', ttl)
redis.call('ZADD', index, now, key)
redis.call('HSET', sizes, key, #stored)
redis.call('HINCRBY', sizes, 'all', #stored)
redis.call('PEXPIRE', index, ttl)
redis.call('PEXPIRE', sizes, ttl)
return { redis.call('ZCARD', index), evicted }`,
  (reply) => {
    const [entries, evicted] = readList(reply)
    return { entries: readNumber(entries), evicted: readNumber(evicted) }
  },
)
