import { describe, expect, onTestFinished, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { openRedis } from '../../src/redis/connection.ts'
import { createScript, readNumber } from '../../src/redis/script.ts'
import { keepLog, openReplica } from '../redis/replica.ts'
import { isRedisThere, type RedisServer, startRedis } from '../redis/server.ts'

const isThere = await isRedisThere()

const add = createScript(`return redis.call('INCRBY', KEYS[1], ARGV[1])`, readNumber)

async function serve(...options: string[]): Promise<RedisServer> {
  const server = await startRedis(options)
  onTestFinished(() => server[Symbol.asyncDispose]())
  return server
}

async function msOf(work: () => Promise<unknown>): Promise<number> {
  const start = performance.now()
  await work()
  return performance.now() - start
}

describe.skipIf(!isThere)('the connection to Redis', () => {
  test('runs scripts, and runs them again where Redis knows them no more', async () => {
    const server = await serve()
    const { redis } = await openReplica(server.url)
    expect(await redis.run(add, ['a'], [2])).toBe(2)
    await server.ask('SCRIPT', 'FLUSH')
    expect(await redis.run(add, ['a'], [3])).toBe(5)
    expect(redis.numbers()).toEqual({ isConnected: true, failures: { connection: 0, timeout: 0, reply: 0 }, unanswered: 0 })
  })

  test('gives nothing and takes no time while Redis is gone, says so once, and is there again by itself', async () => {
    const server = await serve()
    const { redis, lines } = await openReplica(server.url)
    const underWay = Array.from({ length: 50 }, () => redis.run(add, ['a'], [1]))
    await server.stop()
    await Promise.all(underWay)
    const took = await msOf(async () => {
      for (let ask = 0; ask < 50; ask += 1) expect(await redis.run(add, ['a'], [1])).toBeUndefined()
    })
    expect(took).toBeLessThan(200)
    expect(redis.numbers()).toMatchObject({ isConnected: false })
    expect(redis.numbers().unanswered).toBeGreaterThanOrEqual(50)
    await expect.poll(() => redis.numbers().failures.connection, { timeout: 3000 }).toBeGreaterThan(2)
    await server.start()
    await expect.poll(() => redis.run(add, ['a'], [1]), { timeout: 3000 }).toBe(1)
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'info'])
    expect(lines[0]?.text).toContain('Redis cannot be reached')
  })

  test('waits a moment for one that hangs, and then not at all until it answers again', async () => {
    const server = await serve()
    const { redis, lines } = await openReplica(server.url)
    server.pause()
    onTestFinished(server.resume)
    const first = await msOf(async () => {
      const asked = await Promise.all(Array.from({ length: 20 }, () => redis.run(add, ['a'], [1])))
      expect(asked).toEqual(Array(20).fill(undefined))
    })
    expect(first).toBeGreaterThan(250)
    expect(first).toBeLessThan(600)
    expect(await msOf(() => redis.run(add, ['a'], [1]))).toBeLessThan(50)
    // Long enough for a connection that is made, but not answered.
    await expect.poll(() => redis.numbers().failures.connection, { timeout: 5000 }).toBeGreaterThan(1)
    expect(await msOf(() => redis.run(add, ['a'], [1]))).toBeLessThan(50)
    server.resume()
    await expect.poll(() => redis.run(add, ['b'], [1]), { timeout: 5000 }).toBe(1)
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'info'])
    expect(lines[0]?.text).toContain('does not answer in time')
  })

  test('takes an answer for in time that came while this process was busy', async () => {
    const server = await serve()
    const { redis } = await openReplica(server.url)
    await redis.run(add, ['a'], [1])
    const asked = redis.run(add, ['a'], [1])
    const end = performance.now() + 500
    while (performance.now() < end);
    expect(await asked).toBe(2)
  })

  test('comes to be where Redis starts after the service, which starts without it', async () => {
    const server = await serve()
    await server.stop()
    const start = performance.now()
    const { redis, lines } = await openReplica(server.url)
    expect(performance.now() - start).toBeLessThan(1500)
    expect(await redis.run(add, ['a'], [1])).toBeUndefined()
    await server.start()
    await expect.poll(() => redis.run(add, ['a'], [1]), { timeout: 3000 }).toBe(1)
    expect(lines.map(({ level }) => level)).toEqual(['warn', 'info'])
  })

  test('says that the password is wrong, and tells nobody which it was', async () => {
    const server = await serve('--requirepass', 'right')
    const { redis, lines } = await openReplica(server.url.replace('://', '://:canary@'))
    expect(await redis.run(add, ['a'], [1])).toBeUndefined()
    await expect.poll(() => redis.numbers().failures.connection, { timeout: 3000 }).toBeGreaterThan(1)
    expect(lines).toHaveLength(1)
    expect(lines[0]?.text).toContain('lets nobody in with the user and password of REDIS_URL')
    expect(JSON.stringify(lines.map(({ text, error }) => [text, String(error), Object.values(Object(error))]))).not.toContain(
      'canary',
    )
    const { redis: other } = await openReplica(`${server.url.replace('://', '://:right@')}/3`)
    expect(await other.run(add, ['a'], [1])).toBe(1)
  })

  test('logs a refusal once, though other things work meanwhile', async () => {
    const server = await serve('--maxmemory', '1', '--maxmemory-policy', 'noeviction')
    const read = createScript(`return redis.call('EXISTS', KEYS[1])`, readNumber)
    const { redis, lines } = await openReplica(server.url)
    for (let ask = 0; ask < 5; ask += 1) {
      expect(await redis.run(add, ['a'], [1])).toBeUndefined()
      expect(await redis.run(read, ['a'], [])).toBe(0)
    }
    expect(redis.numbers()).toMatchObject({ isConnected: true, failures: { reply: 5 } })
    expect(lines).toHaveLength(1)
    expect(lines[0]?.text).toContain('Redis refuses what it is asked (OOM)')
  })

  test('gives nothing where an answer is none of its script', async () => {
    const server = await serve()
    const { redis } = await openReplica(server.url)
    expect(await redis.run(createScript(`return 'x'`, readNumber), [], [])).toBeUndefined()
  })

  test('gives nothing once it is closed, also while Redis is gone, and closes at once', async () => {
    const server = await serve()
    const { log } = keepLog()
    for (const isGone of [false, true]) {
      if (isGone) await server.stop()
      const redis = await openRedis({ url: server.url, log, now: () => performance.now() })
      expect(await msOf(() => redis.close())).toBeLessThan(500)
      expect(await redis.run(add, ['a'], [1])).toBeUndefined()
      await redis.close()
    }
  })
})

test('an address that is none is told without what is in it', async () => {
  const { log } = keepLog()
  const opening = openRedis({ url: 'redis://user:%ff-canary@127.0.0.1:1', log, now: () => 0 })
  const error = await opening.catch((thrown: unknown) => thrown)
  expect(error).toBeInstanceOf(AppError)
  expect(String(error)).toContain('REDIS_URL: expected redis://')
  expect(String(error)).not.toContain('canary')
})
