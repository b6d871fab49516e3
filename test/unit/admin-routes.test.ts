import { parse } from 'csv-parse/sync'
import { fastify } from 'fastify'
import { describe, expect, onTestFinished, test } from 'vitest'
import { auditedRoutes, quietRoutes } from '../../src/admin/audit/actions.ts'
import { vainPerMinute } from '../../src/admin/audit/audit-queue.ts'
import { csvLine } from '../../src/admin/csv.ts'
import { createWatch } from '../../src/admin-part.ts'
import { createClient } from '../../src/client.ts'
import { onRequestEnd } from '../../src/http/request-end.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { saying } from '../answer-scripts.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { refuseWrites } from '../refuse-writes.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { bodyOf, type StartOptions, startServer } from '../server.ts'

const json = { 'content-type': 'application/json' }

/** A service with an admin, "root", and what they do. */
async function openWorld(options: Partial<StartOptions> = {}) {
  const server = await startServer({ host: createScriptedHost(() => saying('Hello')), ...options })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const token = await server.login('root')
  const root = createClient({ baseUrl: server.url, token })
  const send = (method: string, path: string, body?: object, its: string | undefined = token) =>
    fetch(server.url + path, {
      method,
      headers: { ...(body === undefined ? {} : json), ...(its === '' ? {} : { authorization: `Bearer ${its}` }) },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    })
  /** What the audit has, oldest first, once it has so many. */
  const audit = async (count: number, filter: Parameters<typeof root.audit>[0] = {}) => {
    await expect.poll(async () => (await root.audit({ limit: 200, ...filter })).items.length).toBe(count)
    return (await root.audit({ limit: 200, ...filter })).items.toReversed()
  }
  return { server, token, root, send, audit }
}

test('every route that may change the service is in the audit, or known to change nothing', async () => {
  const { server } = await openWorld()
  const watched = server.app.routes
    .filter(({ scope, url }) => scope === 'admin' || url.startsWith('/auth/') || url.startsWith('/admin/'))
    .map(({ method, url }) => `${method} ${url}`)
  const known = [...Object.keys(auditedRoutes), ...quietRoutes]
  expect(watched.filter((route) => !known.includes(route))).toEqual([])
  expect(known.filter((route) => !watched.includes(route))).toEqual([])
  expect(new Set(known).size).toBe(known.length)
})

describe('the audit', () => {
  test('has who did what to what, in the order in which it was done', async () => {
    const { root, send, audit } = await openWorld({ settings: { LOCAL_ONLY: 'true' } })
    const ana = await root.addUser('ana', 'a long password')
    await root.setRole(ana.id, 'admin')
    await root.addKey({ name: 'of root', scopes: ['admin'] })
    await root.select({ model_name: 'scripted' })
    await root.changeLoaded('scripted', 'load')
    await send('POST', '/models/owner/of%20it/unload')
    await send('POST', '/models/pull', { name: 'owner/model' })
    await root.removeUser(ana.id)
    const items = await audit(10)
    expect(items.map(({ action, target, outcome }) => [action, target, outcome])).toEqual([
      ['register', null, 'done'],
      ['login', null, 'done'],
      ['user-add', 'ana', 'done'],
      ['user-change', ana.id, 'done'],
      ['key-add', 'of root', 'done'],
      ['model-select', 'scripted', 'done'],
      ['model-load', 'scripted', 'done'],
      ['model-unload', 'owner/of it', 'refused'],
      ['model-pull', 'owner/model', 'refused'],
      ['user-remove', ana.id, 'done'],
    ])
    const { id } = await root.me()
    expect(items[2]).toMatchObject({ username: 'root', user_id: id, key_id: null, address: '127.0.0.1', status: 201 })
    expect(items[0]).toMatchObject({ username: 'root', user_id: null })
  })

  test('has what was refused, with whom it was refused to, and no password', async () => {
    const { server, send, audit } = await openWorld()
    const ana = await server.login('ana')
    const made = await bodyOf<{ id: string; key: string }>(await send('POST', '/auth/keys', { name: 'inference' }, ana))
    await send('POST', '/auth/login', { username: 'Root ', password: 'canary-password' }, '')
    await send('POST', '/auth/login', { username: 'nobody', password: ['canary-password'] }, '')
    await send('DELETE', '/admin/users/x', undefined, ana)
    await send('POST', '/admin/reload', undefined, made.key)
    await send('POST', '/admin/reload', undefined, '')
    await fetch(`${server.url}/auth/logout`, {
      method: 'POST',
      headers: { cookie: `simpleia_token=${ana}`, origin: 'https://elsewhere.example' },
    })
    const items = (await audit(11)).slice(5)
    expect(items.map(({ action, username, key_id, outcome, status }) => [action, username, key_id, outcome, status])).toEqual([
      ['login', 'Root ', null, 'refused', 401],
      ['login', 'nobody', null, 'refused', 400],
      ['user-remove', 'ana', null, 'refused', 403],
      ['reload', 'ana', made.id, 'refused', 403],
      ['reload', null, null, 'refused', 401],
      ['logout', null, null, 'refused', 403],
    ])
    expect(JSON.stringify(items)).not.toContain('canary')
    expect(await audit(3, { user: 'ROOT' })).toMatchObject([{ action: 'register' }, { action: 'login' }, { username: 'Root ' }])
  })

  test('names who reads what others asked, and who exports feedback, but not who lists it', async () => {
    const { root, send, audit } = await openWorld()
    await send('GET', '/feedback')
    await send('GET', '/feedback?format=jsonl')
    await send('GET', '/admin/predictions/some')
    const items = await audit(4)
    expect(items.slice(2).map(({ action, target, outcome }) => [action, target, outcome])).toEqual([
      ['feedback-export', null, 'done'],
      ['prediction-read', 'some', 'refused'],
    ])
    expect((await root.audit({ action: 'feedback-export' })).items).toHaveLength(1)
  })

  test('comes in pages, by time too', async () => {
    const { root, send, audit } = await openWorld()
    for (let index = 0; index < 5; index += 1) await send('DELETE', `/admin/keys/${index}`)
    await audit(7)
    const seen: Array<string | null> = []
    for (let cursor: string | undefined, more = true; more; ) {
      const page = await root.audit({ limit: 2, ...(cursor === undefined ? {} : { cursor }), action: 'key-remove' })
      seen.push(...page.items.map(({ target }) => target))
      cursor = page.next_cursor ?? undefined
      more = cursor !== undefined
    }
    expect(seen).toEqual(['4', '3', '2', '1', '0'])
    expect((await root.audit({ to: '2020-01-01' })).items).toEqual([])
    expect((await root.audit({ from: '2020-01-01' })).items).toHaveLength(7)
    expect((await send('GET', '/admin/audit?cursor=x')).status).toBe(400)
    expect((await send('GET', '/admin/audit?from=x')).status).toBe(400)
    expect((await send('GET', '/admin/audit?kind=x')).status).toBe(400)
  })

  test('is not filled by one who is refused again and again', async () => {
    const lines: string[] = []
    const { server, send, audit } = await openWorld({
      settings: { LOG_LEVEL: 'warn' },
      logStream: { write: (line) => void lines.push(line) },
    })
    for (let index = 0; index < vainPerMinute + 20; index += 1)
      await (await fetch(`${server.url}/admin/reload`, { method: 'POST' })).text()
    await send('POST', '/admin/reload')
    const count = (await audit(vainPerMinute + 3)).length
    expect(count).toBe(vainPerMinute + 3)
    await expect.poll(() => lines.join('')).toContain('The audit leaves out what came too often')
  })

  test('that cannot be written is told and counted, and written later in its order', async () => {
    const lines: string[] = []
    const { server, root, send, audit } = await openWorld({
      settings: { LOG_LEVEL: 'error' },
      logStream: { write: (line) => void lines.push(line) },
    })
    await audit(2)
    const other = await openStorage({ url: await databaseAt(`${server.dataDir}/simpleia.db`) })
    const allow = await refuseWrites(other.db, { table: 'audit' })
    await send('DELETE', '/admin/keys/1')
    await send('DELETE', '/admin/keys/2')
    await expect.poll(() => lines.join('')).toContain('The audit could not be written')
    expect(await (await send('GET', '/metrics')).text()).toMatch(/simpleia_admin_writes_failed_total\{what="audit"\} [1-9]/)
    expect((await root.audit()).items).toHaveLength(2)
    await allow()
    await other.close()
    expect((await audit(4)).map(({ target }) => target)).toEqual([null, null, '1', '2'])
  })

  test('is written before the service has ended, with what ends as it does', async () => {
    const asked: AbortSignal[] = []
    const server = await startServer({
      host: createScriptedHost(() => saying('Hello')),
      fetch: (_url, { signal } = {}) =>
        new Promise((_, reject) => {
          if (!signal) return
          asked.push(signal)
          signal.addEventListener('abort', () => reject(signal.reason))
        }),
    })
    const headers = { ...json, authorization: `Bearer ${await server.login('root')}` }
    const body = JSON.stringify({ name: 'owner/model' })
    const pulling = fetch(`${server.url}/models/pull`, { method: 'POST', headers, body }).then((response) => response.text())
    await expect.poll(() => asked.length).toBeGreaterThan(0)
    await server.app.close({ graceMs: 0 })
    await pulling.catch(() => undefined)
    const storage = await openStorage({ url: await databaseAt(`${server.dataDir}/simpleia.db`) })
    const rows = await storage.db.selectFrom('audit').select(['action', 'target']).orderBy('createdAt').execute()
    const history = await storage.db.selectFrom('history').selectAll().execute()
    await storage.close()
    await server[Symbol.asyncDispose]()
    expect(rows).toEqual([
      { action: 'register', target: null },
      { action: 'login', target: null },
      { action: 'model-pull', target: 'owner/model' },
    ])
    expect(history).toHaveLength(1)
  })
})

describe('as CSV', () => {
  test('the audit is all of it, and nothing in it is a formula', async () => {
    const { server, root, send } = await openWorld()
    for (const username of ['=cmd|calc', '+1', '-1', '@sum(1)', 'a "quoted", name', 'line\nbreak'])
      await (await send('POST', '/auth/login', { username, password: 'a wrong password' }, '')).text()
    const other = await openStorage({ url: await databaseAt(`${server.dataDir}/simpleia.db`) })
    const row = {
      userId: null,
      username: null,
      usernameKey: null,
      keyId: null,
      address: '::1',
      target: null,
      status: 200,
    } as const
    const many = Array.from({ length: 1100 }, (_, index) => ({
      ...{ ...row, id: `id-${index}`, createdAt: new Date(index).toISOString(), action: 'reload', outcome: 'done' as const },
    }))
    await other.db.insertInto('audit').values(many).execute()
    await other.close()
    const { items } = await root.audit()
    const response = await send('GET', '/admin/audit?format=csv')
    expect(response.headers.get('content-type')).toBe('text/csv; charset=utf-8')
    expect(response.headers.get('content-disposition')).toBe('attachment; filename="audit.csv"')
    const rows: ReadonlyArray<Record<string, string>> = parse(await response.text(), { columns: true })
    const names = rows
      .filter(({ action, outcome }) => action === 'login' && outcome === 'refused')
      .map(({ username }) => username)
    expect(names.toReversed()).toEqual(["'=cmd|calc", "'+1", "'-1", "'@sum(1)", 'a "quoted", name', 'line\nbreak'])
    expect(rows.filter(({ action }) => action === 'reload').map(({ id }) => id)).toEqual(many.map(({ id }) => id).toReversed())
    expect(Object.keys(rows[0] ?? {})).toEqual(Object.keys(items[0] ?? {}))
  })

  test('the history has a line for each point, with nothing where nothing is known', async () => {
    const { root, send } = await openWorld()
    const answer = await root.history({ points: 3 })
    const response = await send('GET', '/admin/history?points=3&format=csv')
    const rows: ReadonlyArray<Record<string, string>> = parse(await response.text(), { columns: true })
    expect(rows).toHaveLength(answer.points.length)
    expect(Object.keys(rows[0] ?? {})).toEqual(Object.keys(answer.points[0] ?? {}))
    expect(rows[0]).toMatchObject({ at: answer.points[0]?.at, requests: '0', latency_p50_ms: '' })
  })

  test.each([
    [['a', 1, null], 'a,1,\r\n'],
    [['=1', '\t=1', '\r=1'], "'=1,'\t=1,\"'\r=1\"\r\n"],
    [[-1, '-1'], "-1,'-1\r\n"],
    // Where Spanish is spoken, spreadsheets end fields with a semicolon.
    [['a;=1', 'b\n+1', 'c;d', '＝1'], "a;'=1,\"b\n'+1\",c;d,'＝1\r\n"],
  ])('%j is %j', (cells, line) => {
    expect(csvLine(cells)).toBe(line)
  })
})

describe('the history of the service', () => {
  test('counts requests, but none of health, metrics and the files of pages', async () => {
    const { server, root } = await openWorld()
    let asked = 0
    /** Those besides the ones that ask for this. */
    const requests = async () => {
      const { points } = await root.history()
      asked += 1
      return points.reduce((sum, point) => sum + point.requests, 0) - (asked - 1)
    }
    await expect.poll(requests).toBe(2)
    for (const path of ['/health', '/health/ready', '/metrics', '/', '/admin']) await (await fetch(server.url + path)).text()
    await (await fetch(`${server.url}/nowhere`)).text()
    await expect.poll(requests).toBe(3)
  })

  test('has the answers of models by provider and model', async () => {
    const { server, root } = await openWorld()
    await server.predict({ prompt: 'x' })
    await server.stream({ prompt: 'x' })
    await expect
      .poll(async () => (await root.history()).models)
      .toEqual([{ provider: 'hf', model: 'scripted', answers: 2, completion_tokens: 6, tokens_per_second: null }])
    const { points } = await root.history()
    expect(points.reduce((sum, { answers }) => sum + answers, 0)).toBe(2)
  })

  test('has the latency of whole answers alone, not of streams and of callers who left', async () => {
    const engine = () => ({ state: 'ready', reason: undefined, active: 0, queued: 0, residentBytes: 0, models: [] }) as const
    const watch = createWatch({ engine, logStream: { write() {} }, now: () => 0 })
    const http = fastify()
    onTestFinished(() => http.close())
    onRequestEnd(http, watch.onRequestEnd)
    http.get('/whole', async () => 'x')
    for (const type of ['text/event-stream', 'application/x-ndjson'])
      http.get(`/${type}`, (_request, reply) => void reply.hijack().raw.setHeader('content-type', type).end('x'))
    http.get('/left', (_request, reply) => void reply.hijack().raw.destroy())
    const timed = () => watch.running.current().tally.latency.reduce((sum, one) => sum + one, 0)
    const counted = () => Object.values(watch.running.current().tally.requests).reduce((sum, one) => sum + one, 0)
    const url = await http.listen({ host: '127.0.0.1', port: 0 })
    const get = async (path: string) => (await fetch(url + path)).text()
    for (const path of ['/text/event-stream', '/application/x-ndjson', '/left']) await get(path).catch(() => undefined)
    await expect.poll(counted).toBe(3)
    expect(timed()).toBe(0)
    expect(watch.running.current().tally.requests).toMatchObject({ '2xx': 2, '499': 1 })
    await get('/whole')
    await expect.poll(timed).toBe(1)
  })

  test('refuses what it does not know', async () => {
    const { send } = await openWorld()
    for (const query of ['points=1', 'points=1001', 'from=x', 'from=2999-01-01', 'format=xml', 'step=1'])
      expect({ query, status: (await send('GET', `/admin/history?${query}`)).status }).toEqual({ query, status: 400 })
  })
})

test('the overview tells what there is now', async () => {
  const { server, root, send } = await openWorld({ version: '1.2.3' })
  await server.login('ana')
  await root.addKey({ name: 'a key' })
  await server.predict({ prompt: 'x' })
  await send('POST', '/feedback', { text: 'Good.' })
  expect(await root.overview()).toEqual({
    at: expect.any(String),
    version: '1.2.3',
    uptime_seconds: expect.any(Number),
    local_only: false,
    engine: { state: 'ready', reason: null, active: 0, queued: 0 },
    memory: {
      service_bytes: expect.any(Number),
      engine_bytes: 0,
      budget_bytes: 8,
      machine_bytes: expect.any(Number),
      machine_free_bytes: expect.any(Number),
    },
    cache: { entries: 0, hits: 0, misses: 0, evictions: 0 },
    counts: { users: 2, keys: 1, conversations: 0, documents: 0, predictions: 1, feedback: 1 },
  })
})

test('nobody but an admin sees any of it', async () => {
  const { server, send } = await openWorld()
  const ana = await server.login('ana')
  for (const path of ['/admin/overview', '/admin/history', '/admin/audit', '/admin/logs', '/admin/logs?stream=true'])
    expect([(await send('GET', path, undefined, ana)).status, (await send('GET', path, undefined, '')).status]).toEqual([
      403, 401,
    ])
})
