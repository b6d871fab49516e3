import { randomBytes } from 'node:crypto'
import { setTimeout as wait } from 'node:timers/promises'
import { afterAll, beforeAll, expect, test } from 'vitest'
import type { MessageAnswer } from '../../src/conversations/schema.ts'
import { createBrowser } from '../conversations-world.ts'
import { freePort } from '../free-port.ts'
import { startNginx } from '../nginx.ts'
import { askServer, urlOf } from '../postgres/database-at.ts'
import { type PostgresServer, startPostgres } from '../postgres/server.ts'
import { type RedisServer, startRedis } from '../redis/server.ts'
import { bodyOf } from '../server.ts'
import { load } from './load.ts'
import { createReplica, siteFor } from './replicas.ts'

let postgres: PostgresServer
let redis: RedisServer
beforeAll(async () => {
  ;[postgres, redis] = await Promise.all([startPostgres(), startRedis()])
})
afterAll(() => Promise.all([postgres[Symbol.asyncDispose](), redis[Symbol.asyncDispose]()]))

/** Of one address in an hour: more than each client of the load asks. */
const rateLimit = 250
/** Of a key in a day. */
const quota = 100

/** Two replicas behind nginx, as docs/operations.md says, on a database of their own. */
async function startReplicas(settings: Readonly<Record<string, string>> = {}) {
  const database = `replicas_${randomBytes(4).toString('hex')}`
  await askServer(postgres.url, (client) => client.query(`create database ${database}`))
  const environment = {
    DATABASE_URL: urlOf(postgres.url, database),
    SECRET_KEY: randomBytes(48).toString('base64'),
    ALLOW_ANONYMOUS: 'true',
    TRUST_PROXY: '127.0.0.1',
    REDIS_URL: redis.url,
    RATE_LIMIT_REQUESTS: String(rateLimit),
    RATE_LIMIT_WINDOW_SECONDS: '3600',
    SHUTDOWN_DELAY_SECONDS: '3',
    SHUTDOWN_GRACE_SECONDS: '30',
    LOG_LEVEL: 'fatal',
    ...settings,
  }
  const stack = new AsyncDisposableStack()
  const replicas = [stack.use(await createReplica(environment)), stack.use(await createReplica(environment))] as const
  // Both at once: one of them makes the tables.
  await Promise.all(replicas.map((replica) => replica.start()))
  const port = await freePort()
  stack.use(await startNginx(await siteFor(replicas, port)))
  const url = `http://127.0.0.1:${port}`
  const ready = () =>
    fetch(`${url}/health/ready`).then(
      ({ status }) => status,
      () => 0,
    )
  await expect.poll(ready).toBe(200)
  return { url, replicas, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}

test('1,000 mixed requests from 50 clients while one replica after the other is restarted: none fails, none gets the answer of another', async () => {
  await using world = await startReplicas()
  const key = await makeKey(world.url, quota)
  let isOver = false
  const codes: Array<number | null> = []
  const loading = load(world.url, { clients: 50, atLeast: 20, isEnough: () => isOver })
  const limited = Promise.all([
    ask(world.url, { authorization: `Bearer ${key}` }, { atLeast: quota + 50, isEnough: () => isOver }),
    ask(world.url, { 'x-forwarded-for': '10.2.0.1' }, { atLeast: rateLimit + 50, isEnough: () => isOver }),
  ])
  for (const replica of world.replicas) {
    codes.push(await replica.stop())
    await replica.start()
  }
  isOver = true
  const [outcomes, [byKey, byAddress]] = await Promise.all([loading, limited])
  expect(codes).toEqual([0, 0])
  expect(outcomes.length).toBeGreaterThanOrEqual(1000)
  expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([])
  expect(byKey.filter((status) => status === 200)).toHaveLength(quota)
  expect(byAddress.filter((status) => status === 200)).toHaveLength(rateLimit)
  expect([...byKey, ...byAddress].filter((status) => status !== 200 && status !== 429)).toEqual([])
}, 180_000)

test('a replica that is killed in the middle of an answer: who follows it through the other is told what there is, and that it broke off', async () => {
  await using world = await startReplicas()
  const [first, second] = world.replicas.map(({ port }) => `http://127.0.0.1:${port}`)
  const { client: one, given } = createBrowser(first ?? '')
  const { id } = await one.addConversation()
  const { client: other } = createBrowser(second ?? '', given)
  const { question, answer } = await one.beginAnswer(id, { parent_id: null, content: 'Q-endless' })
  let text = ''
  let end: MessageAnswer | undefined
  const following = (async () => {
    for await (const event of other.followAnswer(id, answer.id)) {
      if (event.type === 'snapshot') text = event.message.content
      if (event.type === 'text') text += event.text
      if (event.type === 'end') end = event.message
    }
  })()
  await expect.poll(() => text, { timeout: 10_000 }).not.toBe('')
  await world.replicas[0].stop('SIGKILL')
  await following
  expect(end).toMatchObject({ state: 'interrupted', content: text })
  expect(text).toMatch(/^(word )+$/)
  const again = await other.beginAnswer(id, { parent_id: question.id })
  await expect.poll(async () => (await other.messages(id)).items[1]?.content, { timeout: 10_000 }).toMatch(/^word /)
  expect(await other.stopAnswer(id, again.answer.id)).toMatchObject({ state: 'stopped' })
}, 120_000)

/** Of the first user. */
async function makeKey(url: string, requestsPerDay: number): Promise<string> {
  const post = async (path: string, body: object, token = ''): Promise<Readonly<{ access_token: string; key: string }>> => {
    const headers = { 'content-type': 'application/json', ...(token === '' ? {} : { authorization: `Bearer ${token}` }) }
    return bodyOf(await fetch(`${url}${path}`, { method: 'POST', headers, body: JSON.stringify(body) }))
  }
  const credentials = { username: 'root', password: 'root-has-a-long-password' }
  await post('/auth/register', credentials)
  const { access_token: token } = await post('/auth/login', credentials)
  const { key } = await post('/auth/keys', { name: 'limited', quota: { requests_per_day: requestsPerDay } }, token)
  return key
}

/** The status of each of many requests, some at a time. */
async function ask(
  url: string,
  headers: Readonly<Record<string, string>>,
  { atLeast, isEnough }: Readonly<{ atLeast: number; isEnough: () => boolean }>,
): Promise<readonly number[]> {
  const statuses: number[] = []
  async function one(): Promise<void> {
    while (statuses.length < atLeast || !isEnough()) {
      const response = await fetch(`${url}/predict`, {
        method: 'POST',
        headers: { ...headers, 'content-type': 'application/json' },
        body: '{"prompt":"Q-limited"}',
      })
      await response.arrayBuffer()
      statuses.push(response.status)
      await wait(20)
    }
  }
  await Promise.all([one(), one(), one(), one()])
  return statuses
}
