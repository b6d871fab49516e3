import { createSecretKey } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import { createLoginThrottle, type LoginThrottle } from '../../src/auth/login-throttle.ts'
import { createSharedTurns } from '../../src/auth/shared-turns.ts'
import { openSharedWindows } from '../../src/auth/shared-windows.ts'
import { createTurns } from '../../src/auth/turns.ts'
import { openMemoryWindows } from '../../src/auth/windows.ts'
import type { Redis } from '../../src/redis/connection.ts'
import { createNames } from '../../src/redis/names.ts'
import { openReplica } from '../redis/replica.ts'
import { isRedisThere, startRedis } from '../redis/server.ts'

const server = (await isRedisThere()) ? await startRedis() : undefined
afterAll(() => server?.[Symbol.asyncDispose]())

async function sharedThrottle(url = server?.url ?? '', longestTurnMs?: number): Promise<LoginThrottle> {
  const replica = await openReplica(url)
  const takeTurn = createSharedTurns({
    ...replica,
    ownTurns: createTurns(),
    ...(longestTurnMs === undefined ? {} : { longestTurnMs }),
  })
  return createLoginThrottle({ windows: openSharedWindows(replica), takeTurn })
}
const memoryThrottle = () => createLoginThrottle({ windows: openMemoryWindows(() => performance.now()), takeTurn: createTurns() })

/** One service, and the throttle of each of its replicas. */
const forms: ReadonlyArray<readonly [string, () => Promise<readonly [LoginThrottle, LoginThrottle]>]> = [
  [
    'one process',
    async () => {
      const throttle = memoryThrottle()
      return [throttle, throttle]
    },
  ],
  ...(server === undefined
    ? []
    : ([['two replicas', async () => [await sharedThrottle(), await sharedThrottle()] as const]] as const)),
]

let last = 0
function somebody() {
  last += 1
  return { address: `10.0.0.${last}`, usernameKey: 'ana' }
}
const wrong = async () => undefined
const right = async () => 'in'
const codeOf = (attempt: Promise<unknown>) =>
  attempt.then(
    (result) => (result === undefined ? 'wrong' : 'in'),
    (error: { code?: string }) => error.code,
  )

describe.each(forms)('the login throttle of %s', (_form, open) => {
  test('locks after five failures, wherever they came in, and tells the time to wait', async () => {
    const [one, other] = await open()
    const who = somebody()
    for (const throttle of [one, other, one, other, one]) expect(await codeOf(throttle.attempt(who, wrong))).toBe('wrong')
    for (const throttle of [one, other]) {
      const refused = await throttle.attempt(who, right).catch((error: unknown) => error)
      expect(refused).toMatchObject({ code: 'rate_limited' })
      expect(Object(refused).retryAfterSeconds).toBeGreaterThan(50)
      expect(Object(refused).retryAfterSeconds).toBeLessThanOrEqual(60)
    }
    expect(await codeOf(other.attempt(somebody(), right))).toBe('in')
  })

  test('begins anew after a right one', async () => {
    const [one, other] = await open()
    const who = somebody()
    for (const throttle of [one, other, one, other]) await throttle.attempt(who, wrong)
    expect(await codeOf(other.attempt(who, right))).toBe('in')
    for (const throttle of [one, other, one, other]) expect(await codeOf(throttle.attempt(who, wrong))).toBe('wrong')
  })

  test('lets five of sixty wrong ones be tried that come at the same time', async () => {
    const [one, other] = await open()
    const who = somebody()
    let tried = 0
    const guess = async () => {
      tried += 1
      await new Promise((resolve) => setImmediate(resolve))
      return undefined
    }
    const codes = await Promise.all(
      Array.from({ length: 60 }, (_, index) => codeOf((index % 2 === 0 ? one : other).attempt(who, guess))),
    )
    expect(tried).toBe(5)
    expect(codes.filter((code) => code === 'wrong')).toHaveLength(5)
    expect(codes.filter((code) => code === 'rate_limited')).toHaveLength(55)
  })

  test('lets all right ones in that come at the same time, one after the other', async () => {
    const [one, other] = await open()
    const who = somebody()
    let inside = 0
    const work = async () => {
      inside += 1
      expect(inside).toBe(1)
      await new Promise((resolve) => setImmediate(resolve))
      inside -= 1
      return 'in'
    }
    const codes = await Promise.all(
      Array.from({ length: 40 }, (_, index) => codeOf((index % 2 === 0 ? one : other).attempt(who, work))),
    )
    expect(new Set(codes)).toEqual(new Set(['in']))
  })

  test('limits one password that is tried on many users from one address', async () => {
    const [one, other] = await open()
    const { address } = somebody()
    for (let user = 0; user < 60; user += 1) {
      await (user % 2 === 0 ? one : other).attempt({ address, usernameKey: `user ${user}` }, wrong)
    }
    expect(await codeOf(one.attempt({ address, usernameKey: 'user 60' }, wrong))).toBe('rate_limited')
  })

  test('limits it also where all come at the same time, but for those under way', async () => {
    const [one, other] = await open()
    const { address } = somebody()
    let tried = 0
    const guess = async () => {
      tried += 1
      await new Promise((resolve) => setImmediate(resolve))
      return undefined
    }
    const codes = await Promise.all(
      Array.from({ length: 300 }, (_, user) =>
        codeOf((user % 2 === 0 ? one : other).attempt({ address, usernameKey: `user ${user}` }, guess)),
      ),
    )
    expect(tried).toBeGreaterThanOrEqual(60)
    expect(tried).toBeLessThan(60 + 2 * 8)
    expect(codes.filter((code) => code === 'rate_limited')).toHaveLength(300 - tried)
  })
})

test('whoever comes where too many wait already is told to try again, and the others have their turns', async () => {
  const takeTurn = createTurns({ maxWaiting: 1 })
  const held = Promise.withResolvers<string>()
  const [first, second] = [takeTurn('ana', () => held.promise), takeTurn('ana', right)]
  expect(await codeOf(takeTurn('ana', right))).toBe('busy')
  expect(await codeOf(takeTurn('bea', right))).toBe('in')
  held.resolve('in')
  expect([await first, await second, await takeTurn('ana', right)]).toEqual(['in', 'in', 'in'])
})

test('a turn that does not come while two of the longest would end is given up, as one who is told to try again', async () => {
  const names = createNames(createSecretKey(Buffer.from('of one installation')))
  let asked = 0
  /** In which others always have the turn. */
  const redis: Pick<Redis, 'run'> = {
    async run(script) {
      asked += 1
      return script.read(0)
    },
  }
  const takeTurn = createSharedTurns({ redis, names, ownTurns: createTurns(), longestTurnMs: 50 })
  const throttle = createLoginThrottle({ windows: openMemoryWindows(() => performance.now()), takeTurn })
  expect(await codeOf(throttle.attempt(somebody(), right))).toBe('busy')
  expect(asked).toBe(5)
})

describe.skipIf(server === undefined)('the login throttle of several replicas', () => {
  test('keeps nobody out for long where a replica died in the middle of a login', async () => {
    const [dying, other] = [await sharedThrottle(undefined, 200), await sharedThrottle(undefined, 200)]
    const who = somebody()
    let begin = () => {}
    const begun = new Promise<void>((resolve) => {
      begin = resolve
    })
    let end = () => {}
    const dead = dying.attempt(who, () => {
      begin()
      return new Promise<undefined>((resolve) => {
        end = () => resolve(undefined)
      })
    })
    await begun
    expect(await codeOf(other.attempt(who, right))).toBe('in')
    end()
    await dead
  })

  test('lets a replica have its turn beside one in which many wait', async () => {
    const [crowded, other] = [await sharedThrottle(), await sharedThrottle()]
    const who = somebody()
    let done = 0
    const work = async () => {
      await new Promise((resolve) => setTimeout(resolve, 2))
      done += 1
      return 'in'
    }
    const crowd = Array.from({ length: 60 }, () => crowded.attempt(who, work))
    expect(await codeOf(other.attempt(who, work))).toBe('in')
    expect(done).toBeLessThan(60)
    await Promise.all(crowd)
  })

  test('counts for itself while Redis is gone, from what was known, and lets nobody wait', async () => {
    const own = await startRedis()
    const [one, other] = [await sharedThrottle(own.url), await sharedThrottle(own.url)]
    const who = somebody()
    for (const throttle of [one, other, one]) await throttle.attempt(who, wrong)
    await own.stop()
    const start = performance.now()
    expect(await codeOf(one.attempt(who, wrong))).toBe('wrong')
    expect(await codeOf(one.attempt(who, wrong))).toBe('wrong')
    expect(await codeOf(one.attempt(who, right))).toBe('rate_limited')
    expect(performance.now() - start).toBeLessThan(500)
    expect(await codeOf(other.attempt(somebody(), right))).toBe('in')
    await own[Symbol.asyncDispose]()
  })
})
