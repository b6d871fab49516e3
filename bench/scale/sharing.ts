import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { freePort } from '../../test/free-port.ts'
import { startNginx } from '../../test/nginx.ts'
import { type RedisServer, startRedis } from '../../test/redis/server.ts'
import { type Asked, askAll, load } from './load.ts'
import { predictAs } from './requests.ts'
import { type Environment, type Service, startScripted } from './services.ts'
import type { Cell } from './tables.ts'
import { type Part, startRealPostgres, type World } from './world.ts'

/** What Redis takes for users, and what a second replica brings on this machine. */
export const measureSharing: Part = async function* (world) {
  await using stack = new AsyncDisposableStack()
  const redis = stack.use(await startRedis())
  const server = stack.use(await startRealPostgres())
  const shared = {
    DATABASE_URL: server.url,
    REDIS_URL: redis.url,
    SECRET_KEY: 'the same of all replicas of this measurement',
    TRUST_PROXY: '127.0.0.1',
    RATE_LIMIT_WINDOW_SECONDS: '3600',
    CACHE_MAX_ENTRIES: '100000',
  }
  yield await measureRedis(world, redis, shared)
  yield await measureReplicas(world, shared)
}

async function measureRedis({ isQuick, note }: World, redis: RedisServer, shared: Environment) {
  note('sharing: Redis')
  await using service = await startScripted({ ...shared, ALLOW_ANONYMOUS: 'true' })
  const users = isQuick ? 200 : 2000
  const from = (number: number) => ({ 'x-forwarded-for': `10.${number >> 16}.${(number >> 8) & 255}.${number & 255}` })
  const asked = (body: object): readonly Asked[] =>
    Array.from({ length: users }, (_, number) => ({
      method: 'POST',
      path: '/predict',
      headers: from(number),
      body: { prompt: `How many words in ${number}?`, max_length: 16, ...body },
    }))
  const before = await usedBytes(redis)
  await askAll(service.url, asked({}), 16)
  const limited = await usedBytes(redis)
  await askAll(service.url, asked({ temperature: 0 }), 16)
  const cached = await usedBytes(redis)
  const perThousand = (bytes: number) => ((bytes / users) * 1000) / 1024
  return {
    name: 'redis',
    columns: ['', 'KiB of Redis per 1,000'],
    rows: [
      ['Callers with a rate limit', perThousand(limited - before)],
      ['Cached short answers', perThousand(cached - limited)],
    ] as const,
  }
}

async function usedBytes(redis: RedisServer): Promise<number> {
  return Number(/used_memory:(\d+)/.exec(await redis.ask('INFO', 'memory'))?.[1])
}

async function measureReplicas(world: World, shared: Environment) {
  const rows: Array<readonly [string, ...Cell[]]> = []
  for (const count of [1, 2]) {
    await using stack = new AsyncDisposableStack()
    const replicas: Service[] = []
    for (let number = 0; number < count; number += 1) replicas.push(stack.use(await startScripted(shared)))
    const port = await freePort()
    stack.use(await startNginx(await siteFor(replicas, port)))
    const [{ token = '' } = {}] = replicas
    for (const clients of [8, 32]) {
      world.note(`sharing: ${count} behind nginx, ${clients} clients`)
      const before = await cpuOf(replicas)
      const { requests, perSecond, p50Ms, p95Ms } = await load(`http://127.0.0.1:${port}`, {
        clients,
        seconds: world.isQuick ? 0.5 : 6,
        next: () => predictAs(token),
      })
      const cpuMs = (((await cpuOf(replicas)) - before) * 1000) / requests
      rows.push([`${count === 1 ? 'One replica' : 'Two replicas'}, ${clients} clients`, perSecond, p50Ms, p95Ms, cpuMs])
    }
  }
  return { name: 'replicas', columns: ['', 'answers/s', 'p50 ms', 'p95 ms', 'CPU ms of replicas each'], rows }
}

async function cpuOf(replicas: readonly Service[]): Promise<number> {
  const seconds = await Promise.all(replicas.map((replica) => replica.cpuSeconds()))
  return seconds.reduce((total, one) => total + one, 0)
}

/** The site that is delivered, with these replicas. */
async function siteFor(replicas: readonly Service[], port: number): Promise<string> {
  const site = await readFile(join(import.meta.dirname, '..', '..', 'deploy', 'nginx', 'simpleia.conf'), 'utf8')
  const servers = replicas.map(({ url }) => `server ${new URL(url).host} max_fails=0;`).join('\n')
  return site
    .replace(/server 127\.0\.0\.1:8000 max_fails=0;\s+server 127\.0\.0\.1:8010 max_fails=0;/g, servers)
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
}
