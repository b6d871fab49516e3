import type { Redis } from '../redis/connection.ts'
import type { RedisNames } from '../redis/names.ts'
import { createScript, type RedisReply, readList, readNumber } from '../redis/script.ts'
import { createMemoryWindows, type OpenWindows, type WindowState, type Windows } from './windows.ts'

export type SharedWindowsOptions = Readonly<{
  redis: Pick<Redis, 'run'>
  names: RedisNames
  /** Milliseconds that only grow. */
  now: () => number
}>

/**
 * Counted in Redis, for all replicas together, by the clock of Redis. While it is lost, this process counts for itself, beginning with what
 * Redis has told it last; what it has counted meanwhile is not added to what Redis knows.
 */
export function openSharedWindows({ redis, names, now }: SharedWindowsOptions): OpenWindows {
  return (kind, options): Windows => {
    const own = createMemoryWindows(options, now)
    const keysOf = (key: string) => [names.keyOf(kind, key)]
    const values = [options.windowMs]
    function noted(key: string, state: WindowState): WindowState {
      own.note(key, state)
      return state
    }
    return {
      async add(key) {
        const state = await redis.run(addOne, keysOf(key), values)
        return state === undefined ? own.add(key) : noted(key, state)
      },
      async find(key) {
        const state = await redis.run(find, keysOf(key), values)
        return state === undefined ? own.find(key) : noted(key, state)
      },
      async clear(key) {
        await redis.run(clear, keysOf(key), [])
        await own.clear(key)
      },
    }
  }
}

function readState(reply: RedisReply): WindowState {
  const [count, leftMs] = readList(reply).map(readNumber)
  if (count === undefined || leftMs === undefined) throw new TypeError('Redis has answered something else than a window.')
  return { count, leftMs }
}

// A window that would last longer than one can has seen the clock of Redis go back, or the setting change.
const addOne = createScript(
  `local count = redis.call('INCR', KEYS[1])
local left, window = redis.call('PTTL', KEYS[1]), tonumber(ARGV[1])
if left < 0 or left > window then
  redis.call('PEXPIRE', KEYS[1], window)
  left = window
end
return { count, left }`,
  readState,
)

const find = createScript(
  `local count = tonumber(redis.call('GET', KEYS[1]) or 0)
local left, window = redis.call('PTTL', KEYS[1]), tonumber(ARGV[1])
if count == 0 or left < 0 then return { 0, 0 } end
if left > window then
  redis.call('PEXPIRE', KEYS[1], window)
  left = window
end
return { count, left }`,
  readState,
)

const clear = createScript(`return redis.call('DEL', KEYS[1])`, readNumber)
