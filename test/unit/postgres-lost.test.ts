import { sql } from 'kysely'
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest'
import type { ErrorBody } from '../../src/http/error-reply.ts'
import { openStorage, type Storage } from '../../src/storage/open-storage.ts'
import { createHeldHost, openConversationsWorld } from '../conversations-world.ts'
import { askServer, urlOf } from '../postgres/database-at.ts'
import { type PostgresServer, startPostgres } from '../postgres/server.ts'
import { createScriptedHost, generationEnd } from '../scripted-host.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'

// A server of its own, to be stopped and started again.
let postgres: PostgresServer
let databases = 0
let url: string

beforeAll(async () => {
  postgres = await startPostgres()
}, 60_000)

afterAll(() => postgres[Symbol.asyncDispose]())

beforeEach(async () => {
  databases += 1
  const name = `lost_${databases}`
  await askServer(postgres.url, (client) => client.query(`create database ${name}`))
  // The password is never asked for here, and must not be told.
  url = urlOf(postgres.url, name).replace('simpleia@', 'simpleia:canary-password@')
})

/** Answers each request, and nothing else can fail it. */
const host = () =>
  createScriptedHost(() => [
    { type: 'text-delta', index: 0, text: 'Hola' },
    { type: 'choice-end', index: 0, reason: 'stop' },
    generationEnd(),
  ])

const secondsMost = 6

async function ask(server: TestServer, path: string, token: string, body?: unknown) {
  const startedMs = performance.now()
  const response = await fetch(`${server.url}${path}`, {
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    ...(body === undefined ? {} : { method: 'POST', body: JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, headers: response.headers, text, seconds: (performance.now() - startedMs) / 1000 }
}

const requests: ReadonlyArray<readonly [string, unknown?]> = [
  ['/auth/me'],
  ['/auth/login', { username: 'ana', password: 'ana-has-a-long-password' }],
  ['/auth/register', { username: 'eva', password: 'eva-has-a-long-password' }],
  ['/predict', { prompt: 'Hola' }],
  ['/predict', { prompt: 'Hola', stream: true }],
  ['/feedback', { text: 'Bien' }],
  ['/conversations'],
  ['/embed/search', { query: 'Hola', k: 1 }],
  ['/rag/documents'],
  ['/admin/overview'],
  ['/v1/chat/completions', { model: 'scripted', messages: [{ role: 'user', content: 'Hola' }] }],
]

test('while the database is away requests say so at once, the service lives, and all works when it is back', async () => {
  await using server = await startServer({ host: host(), settings: { DATABASE_URL: url } })
  const token = await server.login('ana')
  expect((await ask(server, '/predict', token, { prompt: 'Hola' })).status).toBe(200)
  expect((await ask(server, '/health/ready', token)).status).toBe(200)
  await postgres.stop()

  for (const [path, body] of requests) {
    const { status, headers, text, seconds } = await ask(server, path, token, body)
    expect([path, status, text]).toEqual([path, 503, expect.any(String)])
    expect(Number(headers.get('retry-after')), path).toBeGreaterThan(0)
    expect(text, path).not.toMatch(/canary|127\.0\.0\.1|simpleia@|lost_/)
    expect(text, path).not.toContain(String(postgres.port))
    expect(seconds, path).toBeLessThan(secondsMost)
  }
  const { text } = await ask(server, '/auth/me', token)
  const { error }: ErrorBody = JSON.parse(text)
  const message = expect.stringContaining('database cannot be reached')
  expect(error).toMatchObject({ code: 'unavailable', message, retry_after_seconds: 1 })
  expect((await ask(server, '/health', token)).status).toBe(200)
  await expect.poll(async () => (await ask(server, '/health/ready', token)).status, { timeout: 3000 }).toBe(503)

  await postgres.start()
  await expect.poll(async () => (await ask(server, '/health/ready', token)).status, { timeout: 5000 }).toBe(200)
  expect((await ask(server, '/auth/me', token)).status).toBe(200)
  expect((await ask(server, '/predict', token, { prompt: 'Hola' })).status).toBe(200)
  expect((await ask(server, '/feedback', token, { text: 'Bien' })).status).toBe(201)
}, 60_000)

test('while the database is away a collector that shows METRICS_TOKEN reads on, that it is lost too; no other credential is taken', async () => {
  const metricsToken = 'a-token-for-collectors-of-enough-characters'
  await using server = await startServer({ host: host(), settings: { DATABASE_URL: url, METRICS_TOKEN: metricsToken } })
  const token = await server.login('ana')
  const scrape = async (credential: string) => {
    const startedMs = performance.now()
    const headers = { authorization: `Bearer ${credential}`, 'x-forwarded-for': '10.0.0.1' }
    const response = await fetch(`${server.url}/metrics`, { headers })
    expect(performance.now() - startedMs).toBeLessThan(secondsMost * 1000)
    return { status: response.status, text: await response.text() }
  }
  const up = async () => /^simpleia_database_up (\d)$/m.exec((await scrape(metricsToken)).text)?.[1]
  expect(await up()).toBe('1')
  expect((await scrape(token)).status).toBe(200)
  await postgres.stop()
  try {
    await expect.poll(up, { timeout: 5000 }).toBe('0')
    const { text } = await scrape(metricsToken)
    expect(text).toMatch(/^simpleia_engine_ready 1$/m)
    expect(text).not.toMatch(/^simpleia_training_step /m)
    for (const credential of [token, `sk-simpleia-${'0'.repeat(16)}-${'A'.repeat(43)}`])
      expect((await scrape(credential)).status).toBe(503)
    for (const credential of ['nonsense', metricsToken.slice(0, -1), `${metricsToken}x`])
      expect((await scrape(credential)).status).toBe(401)
    const elsewhere = await fetch(`${server.url}/auth/me`, { headers: { authorization: `Bearer ${metricsToken}` } })
    expect(elsewhere.status).toBe(401)
  } finally {
    await postgres.start()
  }
  await expect.poll(up, { timeout: 5000 }).toBe('1')
}, 60_000)

test('many requests at once while it goes away leave no connection behind', async () => {
  await using server = await startServer({ host: host(), settings: { DATABASE_URL: url } })
  const token = await server.login('ana')
  const askAll = () => Promise.all(Array.from({ length: 40 }, () => ask(server, '/feedback', token, { text: 'Bien' })))
  const answers = askAll()
  await postgres.stop()
  for (const { status } of await answers) expect([201, 503]).toContain(status)
  await askAll()
  await postgres.start()
  await expect.poll(async () => (await ask(server, '/auth/me', token)).status, { timeout: 5000 }).toBe(200)
  for (const { status } of await askAll()) expect(status).toBe(201)
}, 60_000)

test('what is to be kept for admins waits, and is kept when the database is back', async () => {
  await using server = await startServer({ host: host(), settings: { DATABASE_URL: url } })
  const token = await server.login('ana')
  await postgres.stop()
  await ask(server, '/auth/login', token, { username: 'ana', password: 'ana-has-a-long-password' })
  await postgres.start()
  const actions = async () => {
    const { text, status } = await ask(server, '/admin/audit?action=login', token)
    if (status !== 200) return []
    const { items }: { items: { status: number }[] } = JSON.parse(text)
    return items.map((item) => item.status)
  }
  await expect.poll(actions, { timeout: 12_000 }).toContain(503)
}, 60_000)

const addRow = (db: Storage['db'], id: string) =>
  db.insertInto('revokedTokens').values({ tokenId: id, expiresAt: '2026-01-01T00:00:00.000Z' }).execute()

test('a transaction that was under way is undone whole, and its connection is not used again', async () => {
  const storage = await openStorage({ url })
  try {
    const work = storage.db.transaction().execute(async (transaction) => {
      await addRow(transaction, 'first')
      // The connection breaks while nobody waits for it.
      await postgres.stop()
      await addRow(transaction, 'second')
    })
    await expect(work).rejects.toMatchObject({ code: 'unavailable' })
    await expect(addRow(storage.db, 'third')).rejects.toMatchObject({ code: 'unavailable' })
    await postgres.start()
    await addRow(storage.db, 'fourth')
    const rows = await storage.db.selectFrom('revokedTokens').select('tokenId').execute()
    expect(rows).toEqual([{ tokenId: 'fourth' }])
  } finally {
    await storage.close()
  }
}, 60_000)

test('a database that is frozen is given up, and used again when it goes on', async () => {
  const storage = await openStorage({ url, queryTimeoutMs: 500 })
  try {
    const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid`.execute(storage.db)
    const pid = rows[0]?.pid ?? 0
    process.kill(pid, 'SIGSTOP')
    try {
      await expect(addRow(storage.db, 'first')).rejects.toMatchObject({ code: 'unavailable' })
      // By another connection.
      await addRow(storage.db, 'second')
    } finally {
      process.kill(pid, 'SIGCONT')
    }
    for (let index = 0; index < 12; index += 1) await addRow(storage.db, `row-${index}`)
  } finally {
    await storage.close()
  }
}, 30_000)

test('who is told to stop waiting for its turn leaves a connection that others can use', async () => {
  const storage = await openStorage({ url })
  const watcher = await openStorage({ url })
  try {
    const held = Promise.withResolvers<void>()
    const begun = Promise.withResolvers<void>()
    const holder = watcher.db.transaction().execute(async () => {
      begun.resolve()
      await held.promise
    })
    await begun.promise
    const waiting = Array.from({ length: 3 }, () =>
      storage.db.transaction().execute((transaction) => addRow(transaction, 'never')),
    )
    const ended = Promise.allSettled(waiting)
    const cancelled = sql<{ told: number }>`select count(*) filter (where pg_cancel_backend(pid))::int as told
      from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
    let told = 0
    await expect
      .poll(async () => {
        told += (await cancelled.execute(watcher.db)).rows[0]?.told ?? 0
        return told
      })
      .toBeGreaterThanOrEqual(3)
    for (const one of await ended) expect(one).toMatchObject({ status: 'rejected', reason: { code: 'busy' } })
    held.resolve()
    await holder
    for (let index = 0; index < 12; index += 1)
      await storage.db.transaction().execute((transaction) => addRow(transaction, `row-${index}`))
  } finally {
    await storage.close()
    await watcher.close()
  }
}, 30_000)

test('an answer that was under way ends whole, and that it could not be remembered is counted', async () => {
  const held = createHeldHost()
  await using server = await startServer({ host: held, settings: { DATABASE_URL: url } })
  const answering = server.predict({ prompt: 'Hola' })
  await expect.poll(() => held.answers.length).toBe(1)
  await postgres.stop()
  try {
    held.answers[0]?.say('to the end')
    held.answers[0]?.end()
    const answer = await answering
    expect([answer.status, (await bodyOf(answer)).choices[0]?.text]).toEqual([200, 'to the end'])
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toContain('simpleia_predictions_recorded_total{outcome="failed"} 1')
    expect(metrics).not.toMatch(/^simpleia_training_step /m)
  } finally {
    await postgres.start()
  }
}, 30_000)

test('an answer in a conversation that ends while the database is away is kept when it is back', async () => {
  await using world = await openConversationsWorld({ settings: { DATABASE_URL: url } })
  const { ana, host: held } = world
  const { id } = await ana.addConversation()
  const { answer } = await ana.beginAnswer(id, { parent_id: null, content: 'Go on.' })
  await expect.poll(() => held.answers.length).toBe(1)
  await postgres.stop()
  held.answers[0]?.say('to the end')
  held.answers[0]?.end()
  await expect.poll(async () => (await fetch(`${world.server.url}/health/ready`)).status, { timeout: 5000 }).toBe(503)
  await postgres.start()
  const state = async () => {
    const { value } = await ana.followAnswer(id, answer.id).next()
    return value?.type === 'snapshot' ? { state: value.message.state, content: value.message.content } : undefined
  }
  await expect.poll(() => state().catch(() => undefined), { timeout: 10_000 }).toEqual({ state: 'done', content: 'to the end' })
  const storage = await openStorage({ url })
  try {
    const row = () => storage.db.selectFrom('messages').select(['state', 'content']).where('id', '=', answer.id).execute()
    await expect.poll(row, { timeout: 5000 }).toEqual([{ state: 'done', content: 'to the end' }])
  } finally {
    await storage.close()
  }
}, 40_000)
