import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, onTestFinished, test } from 'vitest'
import { createLedger } from '../../src/egress/ledger.ts'
import type { EgressPage } from '../../src/egress/schema.ts'
import type { EgressEntry } from '../../src/engine/cloud/egress.ts'
import { AppError } from '../../src/errors.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { bodyOf, startServer, type TestServer } from '../server.ts'
import { createServedCli, scriptedHost } from './cli-world.ts'

const entry = (more: Partial<EgressEntry> = {}): EgressEntry => ({
  id: crypto.randomUUID(),
  startedAt: Date.UTC(2026, 2, 1, 12),
  purpose: 'answer',
  provider: 'claude',
  model: 'claude-x',
  hosts: ['api.example.com'],
  requests: 1,
  status: 200,
  bytesOut: 1000,
  bytesIn: 5000,
  usage: { promptTokens: 100, completionTokens: 10, cachedPromptTokens: 40 },
  costMicrodollars: 2500,
  durationMs: 12,
  ...more,
})

/** Writes into the ledger of a service that runs. */
async function record({ dataDir }: TestServer, ...entries: readonly EgressEntry[]): Promise<void> {
  const storage = await openStorage({ url: await databaseAt(join(dataDir, 'simpleia.db')) })
  for (const one of entries) await createLedger(storage).record(one)
  await storage.close()
}

async function start(more: Partial<Parameters<typeof startServer>[0]> = {}) {
  const server = await startServer({ host: scriptedHost([]).host, ...more })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const token = await server.login('ana')
  const headers = { authorization: `Bearer ${token}` }
  const list = async (query = '') => {
    const response = await fetch(`${server.url}/admin/egress${query}`, { headers })
    return { status: response.status, page: await bodyOf<EgressPage & { error?: { message: string } }>(response) }
  }
  const { id } = await bodyOf<{ id: string }>(await fetch(`${server.url}/auth/me`, { headers }))
  return { server, headers, list, userId: id }
}

test('an admin sees each errand, newest first, with the name of who asked, and the sums', async () => {
  const { server, list, userId } = await start()
  const old = entry({ user: `user:${userId}` })
  const { usage: _usage, costMicrodollars: _cost, provider: _provider, ...rest } = entry({ startedAt: Date.UTC(2026, 2, 2) })
  const download: EgressEntry = {
    ...rest,
    purpose: 'model-download',
    usage: undefined,
    costMicrodollars: undefined,
    hosts: ['hub.example', 'cdn.example'],
  }
  const unpriced = entry({ startedAt: Date.UTC(2026, 2, 3), costMicrodollars: undefined, user: 'user:gone' })
  await record(server, old, download, unpriced)
  const { page } = await list()
  expect(page.items.map(({ id }) => id)).toEqual([unpriced.id, download.id, old.id])
  expect(page.items[2]).toEqual({
    id: old.id,
    started_at: '2026-03-01T12:00:00.000Z',
    state: 'ended',
    purpose: 'answer',
    user: `user:${userId}`,
    username: 'ana',
    provider: 'claude',
    model: 'claude-x',
    hosts: ['api.example.com'],
    requests: 1,
    status: 200,
    bytes_out: 1000,
    bytes_in: 5000,
    prompt_tokens: 100,
    completion_tokens: 10,
    cached_prompt_tokens: 40,
    cost_microdollars: 2500,
    duration_ms: 12,
  })
  expect(page.items[0]).toMatchObject({ user: 'user:gone', username: null, cost_microdollars: null })
  expect(page.local_only).toBe(false)
  expect(page.totals).toEqual({
    errands: 3,
    requests: 3,
    bytes_out: 3000,
    bytes_in: 15_000,
    prompt_tokens: 200,
    completion_tokens: 20,
    cost_microdollars: 2500,
    unpriced_answers: 1,
  })
})

test('pages follow each other without a gap, also where errands began at the same moment', async () => {
  const { server, list } = await start()
  await record(server, ...Array.from({ length: 5 }, () => entry()))
  const seen: string[] = []
  let cursor = ''
  do {
    const { page } = await list(`?limit=2${cursor}`)
    expect(page.totals.errands).toBe(5)
    seen.push(...page.items.map(({ id }) => id))
    cursor = page.next_cursor === null ? '' : `&cursor=${page.next_cursor}`
  } while (cursor !== '')
  expect(new Set(seen).size).toBe(5)
})

test.each([
  ['from=2026-03-02', ['b', 'c']],
  ['to=2026-03-01', ['a']],
  ['to=2026-03-02T00:00:00%2B00:00', ['a']],
  ['from=2026-03-02&to=2026-03-02', ['b']],
  ['user=ANA', ['b']],
  ['user=address:::1', ['c']],
  ['user=nobody', []],
  ['provider=openai', ['c']],
  ['purpose=probe', ['a']],
  ['host=API.other.com', ['b']],
  ['host=api.%25.com', []],
  ['host=other.com', []],
])('the filter %s leaves %j', async (query, left) => {
  const { server, list, userId } = await start()
  await record(
    server,
    entry({ model: 'a', purpose: 'probe' }),
    entry({ model: 'b', startedAt: Date.UTC(2026, 2, 2), user: `user:${userId}`, hosts: ['x.example', 'api.other.com'] }),
    entry({ model: 'c', startedAt: Date.UTC(2026, 2, 3), user: 'address:::1', provider: 'openai' }),
  )
  const { page } = await list(`?${query}`)
  expect(page.items.map(({ model }) => model).sort()).toEqual(left)
  expect(page.totals.errands).toBe(left.length)
})

test.each(['from=yesterday', 'to=2026-13-01', 'from=2026-03-01T12:00', 'purpose=fun', 'cursor=x', 'colour=red', 'limit=0'])(
  '%s is refused',
  async (query) => {
    const { list } = await start()
    const { status, page } = await list(`?${query}`)
    expect([status, page.error?.message]).toEqual([400, expect.stringContaining(query.split('=')[0] ?? '')])
  },
)

test('who is no admin sees nothing of it', async () => {
  const { server } = await start()
  const luis = await server.login('luis')
  expect((await fetch(`${server.url}/admin/egress`)).status).toBe(401)
  expect((await fetch(`${server.url}/admin/egress`, { headers: { authorization: `Bearer ${luis}` } })).status).toBe(403)
})

test('a download by the service is in the ledger and in the metrics, under the admin who asked', async () => {
  const fetchOutside: typeof globalThis.fetch = async () => new Response('{"error":"no"}', { status: 404 })
  const { server, headers, list, userId } = await start({ fetch: fetchOutside, settings: { HF_ENDPOINT: 'https://hub.example' } })
  const body = JSON.stringify({ name: 'owner/nothing', stream: false })
  const asked = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body }
  expect((await fetch(`${server.url}/models/pull`, asked)).status).toBe(404)
  const { page } = await list()
  expect(page.items).toMatchObject([
    {
      purpose: 'model-download',
      model: 'owner/nothing',
      user: `user:${userId}`,
      username: 'ana',
      hosts: ['hub.example'],
      status: 404,
      state: 'ended',
    },
  ])
  const metrics = await (await fetch(`${server.url}/metrics`)).text()
  expect(metrics).toMatch(/^simpleia_egress_requests_total\{purpose="model-download",provider="none"\} 1$/m)
  expect(metrics).toMatch(/^simpleia_egress_bytes_total\{direction="out",purpose="model-download"\} [1-9]\d*$/m)
  expect(metrics).toMatch(/^simpleia_egress_bytes_total\{direction="in",purpose="model-download"\} [1-9]\d*$/m)
})

test('the metrics have few labels, whatever a provider is called', async () => {
  const engine = () => scriptedHost([]).host.status()
  const cache = () => ({ entries: 0, hits: 0, misses: 0, evictions: 0 })
  const metrics = createMetrics({ engine, cache })
  onTestFinished(() => metrics.close())
  for (const provider of ['claude', 'claude', 'made up', 'constructor'])
    metrics.egressEnd(entry({ provider, costMicrodollars: 500_000 }))
  const text = await metrics.text()
  expect(text).toMatch(/^simpleia_egress_requests_total\{purpose="answer",provider="claude"\} 2$/m)
  expect(text).toMatch(/^simpleia_egress_requests_total\{purpose="answer",provider="other"\} 2$/m)
  expect(text).toMatch(/^simpleia_egress_bytes_total\{direction="out",purpose="answer"\} 4000$/m)
  expect(text).toMatch(/^simpleia_egress_cost_dollars_total\{provider="claude"\} 1$/m)
})

test('a page is fetched for the user who named it, and one inside of the network is no errand', async () => {
  const users: unknown[] = []
  const { server, headers, userId } = await start({
    fetchPage: async (_url, _signal, user) => {
      users.push(user)
      throw new AppError('upstream', 'Nobody is there.')
    },
  })
  const ask = (to: TestServer, by: object) =>
    fetch(`${to.url}/rag/documents`, {
      method: 'POST',
      headers: { ...by, 'content-type': 'application/json' },
      body: JSON.stringify({ url: 'http://192.168.0.1/' }),
    })
  expect((await ask(server, headers)).status).toBe(502)
  expect(users).toEqual([`user:${userId}`])
  const real = await start()
  expect((await ask(real.server, real.headers)).status).toBe(400)
  expect((await real.list()).page.items).toEqual([])
})

test('an errand whose process was killed stays in the ledger; the next start says that it broke off', async () => {
  const dataDir = await mkdtemp(join(tmpdir(), 'simpleia-egress-'))
  onTestFinished(() => rm(dataDir, { recursive: true }))
  const path = join(dataDir, 'simpleia.db')
  const child = spawn(process.execPath, ['test/unit/egress-process.ts', await databaseAt(path)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await once(child.stdout, 'data')
  child.kill('SIGKILL')
  await once(child, 'exit')
  const storage = await openStorage({ url: await databaseAt(path) })
  const ledger = createLedger(storage)
  const stateOf = async () =>
    (await ledger.list({ limit: 10 })).items.map(({ state, hosts, durationMs }) => [state, hosts, durationMs])
  expect(await stateOf()).toEqual([['open', '["api.example.com"]', null]])
  await ledger.interruptOrphans()
  expect(await stateOf()).toEqual([['interrupted', '["api.example.com"]', null]])
  await storage.close()
})

test('admin reload reads the prices again, and says which entry is wrong', async () => {
  const { server, headers } = await start()
  const file = join(server.dataDir, 'prices.json')
  const reload = () => fetch(`${server.url}/admin/reload`, { method: 'POST', headers })
  await writeFile(file, '{"as_of":"now","dollars_per_million_tokens":{"m":{"input":1}}}')
  const refused = await reload()
  expect([refused.status, (await bodyOf(refused)).error.message]).toEqual([400, expect.stringContaining('"m" must be')])
  await writeFile(file, '{"as_of":"now","dollars_per_million_tokens":{"m":{"input":1,"output":2}}}')
  expect((await reload()).status).toBe(200)
})

test('the health of the service says whether anything may leave', async () => {
  const { server } = await start({ settings: { LOCAL_ONLY: 'true' } })
  expect(await bodyOf(await fetch(`${server.url}/health`))).toMatchObject({ local_only: true })
})

test('admin egress tells it in the language of the person, and harmlessly', async () => {
  const { server, run, environment } = await createServedCli()
  await server.login('ana')
  expect((await run('login ana', 'ana-has-a-long-password\n')).code).toBe(0)
  const none = await run('admin egress')
  expect([none.code, none.output, none.notes]).toEqual([0, '', 'Nothing has left this machine.\n'])
  await record(
    server,
    entry({ model: 'bad\u001b[2J\tname', hosts: ['a.example'] }),
    entry({ durationMs: undefined, startedAt: Date.UTC(2026, 2, 2), costMicrodollars: undefined }),
  )
  const { output, notes } = await run('admin egress')
  const [first = '', second = ''] = output.split('\n')
  expect(first).toContain('running')
  expect(second.split('\t')).toEqual([
    '2026-03-01T12:00:00.000Z',
    'answer',
    '-',
    'claude bad[2J name',
    'a.example',
    '200',
    '1000 B out, 4.9 KB in',
    '$0.0025',
  ])
  expect(notes).toContain('2 errands, 2 requests, 2.0 KB out, 9.8 KB in, cost $0.0025')
  expect(notes).toContain('leaves out 1 answers')
  environment.LANG = 'es_ES.UTF-8'
  const spanish = await run('admin egress --from 2026-03-01 --to 2026-03-01')
  expect(spanish.notes).toContain('1 salidas, 1 peticiones')
  const json = await run('admin egress --user nobody --json')
  expect(JSON.parse(json.output)).toMatchObject({ items: [], totals: { errands: 0 }, local_only: false })
  expect((await run('admin egress --from someday')).code).toBe(1)
})
