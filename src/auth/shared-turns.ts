import { randomUUID } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import type { Redis } from '../redis/connection.ts'
import type { RedisNames } from '../redis/names.ts'
import { createScript, readNumber } from '../redis/script.ts'
import { type TakeTurn, tooMany } from './turns.ts'

export type SharedTurnsOptions = Readonly<{
  redis: Pick<Redis, 'run'>
  names: RedisNames
  /** What makes a line of those who wait in this process, so that one of them at a time asks Redis. */
  ownTurns: TakeTurn
  /** A turn that nobody gives back (its replica was killed) ends after this. No login takes so long. */
  longestTurnMs?: number
}>

const pauseMs = 20
/** Who waits asks again before this is over, or has gone. */
const nextInLineMs = 10 * pauseMs

/** One after the other in all replicas; while Redis is lost, in this process. */
export function createSharedTurns({ redis, names, ownTurns, longestTurnMs = 5000 }: SharedTurnsOptions): TakeTurn {
  const longestWaitMs = 2 * longestTurnMs

  async function begin(keys: readonly string[], holder: string): Promise<void> {
    for (let waitedMs = 0; waitedMs < longestWaitMs; waitedMs += pauseMs) {
      if ((await redis.run(take, keys, [holder, longestTurnMs, nextInLineMs])) !== 0) return
      await wait(pauseMs)
    }
    throw tooMany()
  }

  return (name, work) =>
    ownTurns(name, async () => {
      const turn = names.keyOf('turn', name)
      const holder = randomUUID()
      await begin([turn, names.keyOf('next', name)], holder)
      try {
        return await work()
      } finally {
        await redis.run(giveBack, [turn], [holder])
      }
    })
}

// Who had to wait goes next, so that a replica in which many wait does not keep the others out.
const take = createScript(
  `local holder, next = ARGV[1], redis.call('GET', KEYS[2])
if redis.call('EXISTS', KEYS[1]) == 1 or (next and next ~= holder) then
  if not next or next == holder then redis.call('SET', KEYS[2], holder, 'PX', ARGV[3]) end
  return 0
end
redis.call('SET', KEYS[1], holder, 'PX', ARGV[2])
redis.call('DEL', KEYS[2])
return 1`,
  readNumber,
)

const giveBack = createScript(
  `if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`,
  readNumber,
)
