import { readdir } from 'node:fs/promises'
import { setImmediate } from 'node:timers/promises'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { sql } from 'kysely'
import { openStorage } from '../src/storage/open-storage.ts'
import type { Database } from '../src/storage/tables.ts'
import { createFakeClock } from './fake-clock.ts'
import { createFakeEngine } from './fake-engine.ts'
import { createFakeModel, embeddersOf } from './fake-models.ts'
import { bodyOf, startServer, type TestServer } from './server.ts'

const minuteMs = 60_000
/** The history looks every ten seconds whether a minute is over. */
const tickMs = 10_000
/** Somebody does something every so many minutes, and all log in again every so many. */
const actMinutes = 4
const signInMinutes = 6 * 60

/** What the service holds at one time. */
export type Holding = Readonly<{
  heapBytes: number
  fileHandles: number
  timers: number
  waits: number
  metricSeries: number
  rows: Readonly<Record<string, number>>
}>

export type Day = Readonly<{ requests: number; failures: readonly string[]; holding: Holding }>

export type SimulatedService = AsyncDisposable &
  Readonly<{
    /** A day of mixed use, something every few minutes, and what the service holds after it. */
    liveADay(): Promise<Day>
  }>

/** The whole service with a scripted model, whose time passes as fast as it works. Answers are remembered for a day. */
export async function openSimulatedService(): Promise<SimulatedService> {
  const clock = createFakeClock()
  const startMs = Date.UTC(2026, 0, 5)
  const now = () => startMs + clock.now()
  const server = await startServer({
    host: createFakeEngine({
      answer: (prompt) => ({ pieces: ['All', ' is', ' well', `, ${prompt.length}.`] }),
      contextSize: 4096,
    }),
    embedders: embeddersOf(createFakeModel()),
    clock,
    now,
    settings: { PREDICTION_RETENTION_DAYS: '1', TOKEN_TTL_SECONDS: '43200' },
  })
  const { db, close } = await openStorage({ url: `${server.dataDir}/simpleia.db`, now })
  const users = createUsers(server)
  async function passAMinute(): Promise<void> {
    for (let left = minuteMs; left > 0; left -= tickMs) {
      clock.advance(tickMs)
      await setImmediate()
    }
  }
  return {
    async liveADay() {
      let requests = 0
      const failures: string[] = []
      for (let minute = 0; minute < 24 * 60; minute += 1) {
        if (minute % signInMinutes === 0) await users.signIn()
        if (minute % actMinutes === 0) {
          const failure = await users.act(requests)
          requests += 1
          if (failure !== undefined) failures.push(`minute ${minute}: ${failure}`)
        }
        await passAMinute()
      }
      return { requests, failures, holding: await measure(server, db, clock) }
    },
    async [Symbol.asyncDispose]() {
      await close()
      await server[Symbol.asyncDispose]()
    },
  }
}

async function measure(server: TestServer, db: Database, { waits }: ReturnType<typeof createFakeClock>): Promise<Holding> {
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  const rows = await countRows(db)
  return {
    heapBytes: await settledHeapBytes(),
    fileHandles: (await readdir('/proc/self/fd')).length,
    timers: process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length,
    waits: waits().length,
    metricSeries: metrics.split('\n').filter((line) => line !== '' && !line.startsWith('#')).length,
    rows,
  }
}

async function settledHeapBytes(): Promise<number> {
  setFlagsFromString('--expose-gc')
  const collect: () => void = runInNewContext('gc')
  for (let turn = 0; turn < 3; turn += 1) {
    await setImmediate()
    collect()
  }
  return process.memoryUsage().heapUsed
}

async function countRows(db: Database): Promise<Record<string, number>> {
  const tables = await sql<{ name: string }>`
    select name from sqlite_master where type = 'table' and name not like 'sqlite_%' and name not glob '*_search*'`.execute(db)
  const counts: Record<string, number> = {}
  for (const { name } of tables.rows) {
    const { rows } = await sql<{ count: number }>`select count(*) as count from ${sql.table(name)}`.execute(db)
    counts[name] = Number(rows[0]?.count)
  }
  return counts
}

/** Three people, who do one thing after the other. */
function createUsers(server: TestServer) {
  const names = ['root', 'ana', 'bea'] as const
  const tokens = new Map<string, string>()
  const old: string[] = []

  async function call(method: string, path: string, user: string, body?: object): Promise<Response> {
    const headers = {
      authorization: `Bearer ${tokens.get(user)}`,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
    }
    return fetch(`${server.url}${path}`, { method, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  }
  async function json(
    method: string,
    path: string,
    user: string,
    body?: object,
  ): Promise<{ id: string; answer: { id: string } }> {
    const response = await call(method, path, user, body)
    if (!response.ok) throw new Error(`${method} ${path}: ${response.status} ${await response.text()}`)
    return JSON.parse((await response.text()) || '{}')
  }
  const acts = createActs({ server, call, json })
  return {
    /** Everybody logs in, and ends the login before. */
    async signIn(): Promise<void> {
      for (const token of old.splice(0))
        await fetch(`${server.url}/auth/logout`, { method: 'POST', headers: { authorization: `Bearer ${token}` } })
      for (const name of names) {
        if (!tokens.has(name)) tokens.set(name, await server.login(name))
        const credentials = { username: name, password: `${name}-has-a-long-password` }
        const response = await call('POST', '/auth/login', name, credentials)
        const { access_token: token } = await bodyOf<{ access_token: string }>(response)
        tokens.set(name, token)
        old.push(token)
      }
    },
    /** The number of the act says who does what. Tells what went wrong. */
    async act(number: number): Promise<string | undefined> {
      const act = acts[number % acts.length]
      const user = names[Math.floor(number / acts.length) % names.length] ?? 'root'
      return act?.(user, number).then(
        () => undefined,
        (error: unknown) => String(error),
      )
    },
  }
}

type Acting = Readonly<{
  server: TestServer
  call: (method: string, path: string, user: string, body?: object) => Promise<Response>
  json: (method: string, path: string, user: string, body?: object) => Promise<{ id: string; answer: { id: string } }>
}>

/** What people do of a day, in turn. */
function createActs({ server, call, json }: Acting): ReadonlyArray<(user: string, minute: number) => Promise<unknown>> {
  async function expectStatus(response: Promise<Response>, status: number): Promise<void> {
    const { status: got, ...answer } = await response.then(async (given) => ({ status: given.status, text: await given.text() }))
    if (got !== status) throw new Error(`${got} instead of ${status}: ${answer.text}`)
  }
  return [
    (user, minute) => json('POST', '/predict', user, { prompt: `Question ${minute}`, max_length: 16 }),
    (user) =>
      json('POST', '/v1/chat/completions', user, { messages: [{ role: 'user', content: 'Is all well?' }], max_tokens: 16 }),
    async (user, minute) => {
      const { id } = await json('POST', '/conversations', user, { title: `Minute ${minute}` })
      const { answer } = await json('POST', `/conversations/${id}/answers`, user, { parent_id: null, content: 'Is all well?' })
      await (await call('GET', `/conversations/${id}/messages/${answer.id}/events`, user)).text()
      await call('DELETE', `/conversations/${id}`, user)
    },
    async (user) => {
      const { id } = await json('POST', '/predict', user, { prompt: 'Was it good?', max_length: 16 })
      const { id: feedback } = await json('POST', '/feedback', user, { prediction_id: id, rating: 'up' })
      await call('DELETE', `/feedback/${feedback}`, user)
    },
    (user) => json('POST', '/rag/documents', user, { name: 'day.txt', text: 'The day goes by, and all is well.' }),
    (user) => json('POST', '/embed/search', user, { query: 'day', k: 3 }),
    (user) => json('POST', '/rag/query', user, { question: 'How is the day?', max_length: 16 }),
    async (user) => {
      const leaving = new AbortController()
      const headers = { 'content-type': 'application/json' }
      const body = JSON.stringify({ prompt: user, stream: true, max_length: 16 })
      const response = await fetch(`${server.url}/predict`, { method: 'POST', headers, body, signal: leaving.signal })
      await response.body?.getReader().read()
      leaving.abort()
    },
    (user, minute) => expectStatus(call('GET', `/nowhere/${minute}`, user), 404),
    (user, minute) => expectStatus(call('POST', '/predict', user, { prompt: 'x', model: `model-${minute}` }), 404),
    () => json('GET', '/admin/history', 'root'),
    () => json('GET', '/admin/audit', 'root'),
    (user) => json('GET', '/predictions', user),
    () => expectStatus(fetch(`${server.url}/auth/me`, { headers: { authorization: 'Bearer a.b.c' } }), 401),
    () => json('GET', '/metrics', 'root').catch(() => undefined),
  ]
}
