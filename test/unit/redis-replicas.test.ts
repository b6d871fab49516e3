import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { onPostgres } from '../postgres/database-at.ts'
import { isRedisThere, type RedisServer, startRedis } from '../redis/server.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

const isThere = await isRedisThere()

type Replicas = Readonly<{ redis: RedisServer; one: TestServer; other: TestServer }>

/** Two services with one database, one Redis and one secret key, as two replicas have them. */
async function openReplicas(settings: Record<string, string> = {}): Promise<Replicas> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-replicas-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const redis = await startRedis()
  onTestFinished(() => redis[Symbol.asyncDispose]())
  const common = {
    DATABASE_URL: join(folder, 'simpleia.db'),
    REDIS_URL: redis.url,
    SECRET_KEY: 'Vq3x-9fWk2_LrT8bZpYdN6mHcJ5sEaG1uQoXi7wR',
    STORE_PREDICTIONS: 'false',
    ...settings,
  }
  const start = async () => {
    const server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['a', 'b'] }) }), settings: common })
    onTestFinished(() => server[Symbol.asyncDispose]())
    return server
  }
  return { redis, one: await start(), other: await start() }
}

const fixed = { prompt: 'x', temperature: 0, seed: 1 }
const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
const countOf = (statuses: readonly number[], status: number) => statuses.filter((one) => one === status).length

async function metricOf({ app }: TestServer, name: string): Promise<number> {
  const { body } = await app.http.inject({ url: '/metrics' })
  return Number(
    body
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  )
}

/** As many requests at once, taking turns between the replicas. */
async function askBoth({ one, other }: Replicas, requests: number, headers: Record<string, string> = {}): Promise<number[]> {
  return Promise.all(
    Array.from({ length: requests }, async (_, index) => {
      const answer = await (index % 2 === 0 ? one : other).predict({ prompt: 'x' }, headers)
      await answer.arrayBuffer()
      return answer.status
    }),
  )
}

describe.skipIf(!isThere)('two replicas with Redis', () => {
  test('let exactly as many requests of one caller in as one service does, also over a socket', async () => {
    const replicas = await openReplicas({ RATE_LIMIT_REQUESTS: '25' })
    const statuses = await askBoth(replicas, 150)
    expect([countOf(statuses, 200), countOf(statuses, 429)]).toEqual([25, 125])
    const refused = await replicas.other.predict({ prompt: 'x' })
    expect(refused.headers.get('ratelimit-remaining')).toBe('0')
    expect(Number(refused.headers.get('retry-after'))).toBeGreaterThan(50)
    using socket = await replicas.one.socket()
    socket.send({ prompt: 'x' })
    expect(await socket.answer()).toMatchObject([{ type: 'error', error: { code: 'rate_limited' } }])
  })

  test('limit requests that lead nowhere together, too', async () => {
    const { one, other } = await openReplicas()
    for (const server of [one, other]) await server.app.http.inject({ url: '/nowhere' })
    const { headers } = await one.app.http.inject({ url: '/nowhere' })
    expect(Number(headers['ratelimit-limit']) - Number(headers['ratelimit-remaining'])).toBe(3)
  })

  test('keep to a quota per day together', async () => {
    const replicas = await openReplicas({ USER_REQUESTS_PER_DAY: '10' })
    const headers = bearer(await replicas.one.login('ana'))
    // SQLite in one process would wait for itself.
    const statuses = onPostgres ? await askBoth(replicas, 40, headers) : []
    for (let round = statuses.length; round < 24; round += 1) {
      statuses.push((await (round % 2 === 0 ? replicas.one : replicas.other).predict({ prompt: 'x' }, headers)).status)
    }
    expect(countOf(statuses, 200)).toBe(10)
    expect(countOf(statuses, 429)).toBe(statuses.length - 10)
  })

  test('answer from the cache what the other one was asked before, to who asked and nobody else', async () => {
    const { one, other } = await openReplicas()
    const [ana, bea] = [bearer(await one.login('ana')), bearer(await one.login('bea'))]
    const first = await bodyOf(await one.predict(fixed, ana))
    const second = await bodyOf(await other.predict(fixed, ana))
    expect([first.cached, second.cached]).toEqual([false, true])
    expect(second).toEqual({ ...first, id: second.id, cached: true })
    expect((await bodyOf(await other.predict(fixed, bea))).cached).toBe(false)
    expect((await bodyOf(await other.predict(fixed))).cached).toBe(false)
    expect((await bodyOf(await other.predict({ ...fixed, seed: 2 }, ana))).cached).toBe(false)
    expect(await metricOf(other, 'simpleia_cache_hits_total')).toBe(1)
    expect(await metricOf(other, 'simpleia_cache_misses_total')).toBe(3)
    expect(await metricOf(other, 'simpleia_cache_entries')).toBe(4)
    expect(await metricOf(other, 'simpleia_cache_evictions_total')).toBe(0)
    expect(await metricOf(other, 'simpleia_redis_up')).toBe(1)
  })

  test('refuse a token everywhere at once after a logout and after a new password, whether Redis is there or not', async () => {
    const { one, other, redis } = await openReplicas()
    const statusOf = async (server: TestServer, token: string) =>
      (await server.app.http.inject({ url: '/auth/me', headers: bearer(token) })).statusCode
    const post = (server: TestServer, url: string, token: string, payload: object) =>
      server.app.http.inject({ method: 'POST', url, payload, headers: bearer(token) })
    for (const isLost of [false, true]) {
      if (isLost) await redis.stop()
      const [first, second] = [await one.login('ana'), await other.login('ana')]
      for (const token of [first, second]) expect(await statusOf(other, token)).toBe(200)
      await post(one, '/auth/logout', first, {})
      expect([await statusOf(one, first), await statusOf(other, first), await statusOf(other, second)]).toEqual([401, 401, 200])
      const passwords = { current_password: 'ana-has-a-long-password', new_password: 'ana-has-a-long-password' }
      expect((await post(other, '/auth/password', second, passwords)).statusCode).toBe(204)
      expect([await statusOf(one, second), await statusOf(other, second)]).toEqual([401, 401])
    }
  })

  test('lock a user after five failed logins, wherever they came in', async () => {
    const { one, other } = await openReplicas()
    await one.login('ana')
    const login = (server: TestServer, password: string) =>
      server.app.http.inject({ method: 'POST', url: '/auth/login', payload: { username: 'ana', password } })
    for (const server of [one, other, one, other, one]) expect((await login(server, 'wrong password')).statusCode).toBe(401)
    for (const server of [one, other]) {
      const refused = await login(server, 'ana-has-a-long-password')
      expect(refused.statusCode).toBe(429)
      expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
    }
  })
})

describe.skipIf(!isThere)('under load, two replicas', () => {
  /** Many clients that ask both replicas until they are told to stop; what went wrong, and how long the slowest request took. */
  function load({ one, other }: Replicas) {
    let isOver = false
    let requests = 0
    let slowestMs = 0
    const failed: string[] = []
    const clients = Array.from({ length: 8 }, async (_, client) => {
      for (let turn = 0; !isOver; turn += 1) {
        const start = performance.now()
        const body = turn % 2 === 0 ? { prompt: `${client}` } : { ...fixed, prompt: `${turn % 7}` }
        const answer = await ((client + turn) % 2 === 0 ? one : other).predict(body)
        const text = await answer.text()
        requests += 1
        slowestMs = Math.max(slowestMs, performance.now() - start)
        if (answer.status !== 200) failed.push(`${answer.status} ${text}`)
      }
    })
    return {
      requests: () => requests,
      slowestMs: () => slowestMs,
      async end() {
        isOver = true
        await Promise.all(clients)
        return failed
      },
    }
  }

  test('fail no request and keep nobody waiting when Redis hangs, dies and comes back, and share again after it', async () => {
    const replicas = await openReplicas()
    const { redis, one, other } = replicas
    const loading = load(replicas)
    const more = (requests: number) => {
      const until = loading.requests() + requests
      return expect.poll(loading.requests, { timeout: 15_000 }).toBeGreaterThan(until)
    }
    const isUp = (up: number) => expect.poll(() => metricOf(one, 'simpleia_redis_up'), { timeout: 10_000 }).toBe(up)
    await more(80)
    const calmMs = loading.slowestMs()
    redis.pause()
    await isUp(0)
    await more(80)
    redis.resume()
    await isUp(1)
    await more(80)
    await redis.stop()
    await isUp(0)
    await more(80)
    await redis.start()
    await isUp(1)
    await expect.poll(() => metricOf(other, 'simpleia_redis_up'), { timeout: 10_000 }).toBe(1)
    await more(80)
    expect(await loading.end()).toEqual([])
    // How slow this machine is by itself, and what a lost Redis may add.
    expect(loading.slowestMs()).toBeLessThan(2 * calmMs + 1000)
    expect((await bodyOf(await one.predict({ ...fixed, prompt: 'after' }))).cached).toBe(false)
    expect((await bodyOf(await other.predict({ ...fixed, prompt: 'after' }))).cached).toBe(true)
    expect(await metricOf(one, 'simpleia_redis_unanswered_total')).toBeGreaterThan(0)
  })

  test('limit each for itself while Redis is gone', async () => {
    const replicas = await openReplicas({ RATE_LIMIT_REQUESTS: '10' })
    await replicas.redis.stop()
    const statuses = await askBoth(replicas, 60)
    expect(countOf(statuses, 200)).toBe(20)
    expect(countOf(statuses, 429)).toBe(40)
  })
})
