import { createSecretKey } from 'node:crypto'
import { afterAll, describe, expect, test } from 'vitest'
import { openSharedWindows } from '../../src/auth/shared-windows.ts'
import { type OpenWindows, openMemoryWindows } from '../../src/auth/windows.ts'
import type { Redis } from '../../src/redis/connection.ts'
import { createNames } from '../../src/redis/names.ts'
import { openReplica } from '../redis/replica.ts'
import { isRedisThere, startRedis } from '../redis/server.ts'

const server = (await isRedisThere()) ? await startRedis() : undefined
afterAll(() => server?.[Symbol.asyncDispose]())

const url = server?.url ?? ''
const shared = async (): Promise<OpenWindows> => openSharedWindows(await openReplica(url))
const forms: ReadonlyArray<readonly [string, () => Promise<OpenWindows>]> = [
  ['in memory', async () => openMemoryWindows(() => performance.now())],
  ...(server === undefined ? [] : ([['in Redis', shared]] as const)),
]

const minute = { windowMs: 60_000, maxKeys: 10_000 }
let last = 0
/** A key that no other test has. */
function fresh(): string {
  last += 1
  return `key ${last}`
}

describe.each(forms)('windows %s', (_form, open) => {
  test('count what comes from the first on, and tell how long the window lasts', async () => {
    const windows = (await open())('generations', minute)
    const key = fresh()
    expect(await windows.find(key)).toEqual({ count: 0, leftMs: 0 })
    for (const count of [1, 2, 3]) {
      const state = await windows.add(key)
      expect(state.count).toBe(count)
      expect(state.leftMs).toBeGreaterThan(55_000)
      expect(state.leftMs).toBeLessThanOrEqual(60_000)
    }
    expect(await windows.find(key)).toMatchObject({ count: 3 })
  })

  test('begin anew when they are over, and not later for what comes meanwhile', async () => {
    const windows = (await open())('generations', { ...minute, windowMs: 150 })
    const key = fresh()
    const start = performance.now()
    let count = 0
    await expect
      .poll(
        async () => {
          const before = count
          count = (await windows.add(key)).count
          return count < before
        },
        { interval: 5, timeout: 2000 },
      )
      .toBe(true)
    expect(count).toBe(1)
    expect(performance.now() - start).toBeGreaterThanOrEqual(149)
  })

  test('are forgotten when they are cleared', async () => {
    const windows = (await open())('logins', minute)
    const key = fresh()
    await windows.add(key)
    await windows.clear(key)
    expect(await windows.find(key)).toEqual({ count: 0, leftMs: 0 })
    expect(await windows.add(key)).toMatchObject({ count: 1 })
  })

  test('count each key and each kind by itself', async () => {
    const opened = await open()
    const key = fresh()
    const [logins, generations] = [opened('logins', minute), opened('generations', minute)]
    await logins.add(key)
    expect(await generations.add(key)).toMatchObject({ count: 1 })
    expect(await logins.add(`${key} `)).toMatchObject({ count: 1 })
  })

  test('count each of many at once', async () => {
    const windows = (await open())('requests', minute)
    const key = fresh()
    const counts = (await Promise.all(Array.from({ length: 500 }, () => windows.add(key)))).map(({ count }) => count)
    expect(counts.toSorted((a, b) => a - b)).toEqual(Array.from({ length: 500 }, (_, index) => index + 1))
  })
})

test.each([[[]], [[1]], [[1, '60000']], ['OK'], [null]])('no window is read from what is none: %j', async (reply) => {
  const redis: Pick<Redis, 'run'> = { run: async (script) => script.read(reply) }
  const names = createNames(createSecretKey(Buffer.from('of one installation')))
  const windows = openSharedWindows({ redis, names, now: () => 0 })('generations', minute)
  await expect(windows.add('a')).rejects.toThrow('Redis has answered something else')
})

describe.skipIf(server === undefined)('windows of several replicas', () => {
  test('are the same, and none but those of one secret key', async () => {
    const key = fresh()
    const [one, other] = [(await shared())('generations', minute), (await shared())('generations', minute)]
    const foreign = openSharedWindows(await openReplica(url, 'of another installation'))('generations', minute)
    await one.add(key)
    expect(await other.add(key)).toMatchObject({ count: 2 })
    expect(await foreign.add(key)).toMatchObject({ count: 1 })
    await other.clear(key)
    expect(await one.find(key)).toMatchObject({ count: 0 })
  })

  test('never last longer than they can, though the clock of Redis goes back', async () => {
    const { redis, names, now } = await openReplica(url)
    const windows = openSharedWindows({ redis, names, now })('generations', minute)
    const key = fresh()
    await windows.add(key)
    // An hour back leaves an hour more.
    const goBack = () => server?.ask('PEXPIRE', names.keyOf('generations', key), '3660000')
    await goBack()
    expect((await windows.find(key)).leftMs).toBeLessThanOrEqual(60_000)
    await goBack()
    expect((await windows.add(key)).leftMs).toBeLessThanOrEqual(60_000)
    await server?.ask('PERSIST', names.keyOf('generations', key))
    expect((await windows.add(key)).leftMs).toBeLessThanOrEqual(60_000)
    expect((await windows.add(key)).count).toBe(4)
  })

  test('tell nothing of addresses and names in Redis', async () => {
    const windows = (await shared())('logins', minute)
    await windows.add('203.0.113.77 canary')
    const keys = (await server?.ask('KEYS', '*')) ?? ''
    expect(keys).toContain('simpleia:logins:')
    expect(keys).not.toMatch(/canary|203\.0/)
  })

  test('go on from what was known while Redis is gone, each for itself, and are shared again after it', async () => {
    const own = await startRedis()
    const open = async () => openSharedWindows(await openReplica(own.url))('generations', minute)
    const [one, other] = [await open(), await open()]
    const key = fresh()
    for (let time = 0; time < 3; time += 1) await one.add(key)
    await other.add(key)
    await own.stop()
    expect(await other.add(key)).toMatchObject({ count: 5 })
    expect(await one.add(key)).toMatchObject({ count: 4 })
    expect((await one.find(key)).leftMs).toBeLessThanOrEqual(60_000)
    await own.start()
    await expect.poll(() => own.ask('KEYS', 'simpleia:*').then(() => one.add(key)), { timeout: 4000 }).toMatchObject({ count: 1 })
    await expect.poll(() => other.add(key), { timeout: 4000 }).toMatchObject({ count: 2 })
    await own[Symbol.asyncDispose]()
  })
})
