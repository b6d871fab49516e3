import { randomBytes } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { freePort, startNginx } from '../nginx.ts'
import { askServer, urlOf } from '../postgres/database-at.ts'
import { type PostgresServer, startPostgres } from '../postgres/server.ts'
import { load } from './load.ts'
import { createReplica, siteFor } from './replicas.ts'

let postgres: PostgresServer
beforeAll(async () => {
  postgres = await startPostgres()
})
afterAll(() => postgres[Symbol.asyncDispose]())

/** Two replicas behind nginx, as docs/operations.md says, on a database of their own. */
async function startReplicas(settings: Readonly<Record<string, string>> = {}) {
  const database = `replicas_${randomBytes(4).toString('hex')}`
  await askServer(postgres.url, (client) => client.query(`create database ${database}`))
  const environment = {
    DATABASE_URL: urlOf(postgres.url, database),
    SECRET_KEY: randomBytes(48).toString('base64'),
    ALLOW_ANONYMOUS: 'true',
    TRUST_PROXY: '127.0.0.1',
    RATE_LIMIT_REQUESTS: '100000',
    LOG_LEVEL: 'fatal',
    ...settings,
  }
  const stack = new AsyncDisposableStack()
  const replicas = [stack.use(await createReplica(environment)), stack.use(await createReplica(environment))] as const
  // One after the other: the first one makes the tables.
  for (const replica of replicas) await replica.start()
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
  let isOver = false
  const codes: Array<number | null> = []
  const loading = load(world.url, { clients: 50, atLeast: 20, isEnough: () => isOver })
  for (const replica of world.replicas) {
    codes.push(await replica.stop())
    await replica.start()
  }
  isOver = true
  const outcomes = await loading
  expect(codes).toEqual([0, 0])
  expect(outcomes.length).toBeGreaterThanOrEqual(1000)
  expect(outcomes.filter(({ problem }) => problem !== undefined)).toEqual([])
}, 90_000)
