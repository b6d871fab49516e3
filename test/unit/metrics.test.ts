import { sql } from 'kysely'
import { describe, expect, test } from 'vitest'
import { AppError } from '../../src/errors.ts'
import { createMetrics } from '../../src/metrics/metrics.ts'
import { createModelLabels } from '../../src/metrics/model-label.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import type { QueryListener } from '../../src/storage/watch-queries.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { databaseAt, onPostgres } from '../postgres/database-at.ts'
import { startServer, type TestServer } from '../server.ts'
import { openFolder } from '../temp-folder.ts'

const host = () => createFakeEngine({ answer: () => ({ pieces: ['a', 'b'] }) })

async function seriesOf(server: TestServer): Promise<readonly string[]> {
  const { body } = await server.app.http.inject({ url: '/metrics' })
  return body.split('\n').filter((line) => line !== '' && !line.startsWith('#'))
}
const names = (series: readonly string[]) => new Set(series.map((line) => line.replace(/ \S+$/, '').replace(/le="[^"]*",?/, '')))

test('callers cannot make endless series with paths, models, users, methods or ids', async () => {
  await using server = await startServer({ host: host() })
  const { http } = server.app
  await http.inject({ method: 'POST', url: '/predict', payload: { prompt: 'x' } })
  for (const url of ['/nowhere', '/metrics']) await http.inject({ url })
  await http.inject({ url: '/model', headers: { authorization: 'Bearer a.b.c' } })
  const before = names(await seriesOf(server))
  for (let number = 0; number < 5000; number += 1) {
    await http.inject({ url: `/path-${number}/${number}`, remoteAddress: `10.1.${number % 250}.1` })
  }
  for (let number = 0; number < 1000; number += 1) {
    await http.inject({ method: 'POST', url: '/predict', payload: { prompt: 'x', model: `model-${number}` } })
  }
  for (const method of ['PROPFIND', 'TRACE', 'LOCK', 'MKCOL'] as const) await http.inject({ method, url: '/odd' })
  for (let number = 0; number < 100; number += 1) {
    await http.inject({ url: '/model', headers: { authorization: `Bearer a.${number}.c`, 'x-request-id': `id-${number}` } })
  }
  const fresh = [...names(await seriesOf(server))].filter((name) => !before.has(name))
  expect(fresh.length).toBeLessThan(10)
  expect(fresh.join('\n')).not.toMatch(/path-|model-\d|id-\d/)
})

test('a failed request is no success', async () => {
  await using server = await startServer({ host: host() })
  await server.predict({ prompt: '' })
  await server.predict({ prompt: 'x', model: 'other' })
  const requests = (await seriesOf(server)).filter((line) => /requests_total.*\/predict/.test(line))
  expect(requests.sort()).toEqual([
    'simpleia_http_requests_total{method="POST",route="/predict",status="400"} 1',
    'simpleia_http_requests_total{method="POST",route="/predict",status="404"} 1',
  ])
})

test('errors are counted by code, those on a socket too, and processes of models that died', async () => {
  const failing = createFakeEngine({ answer: () => ({ pieces: ['a', 'b'], failAfter: 1 }) })
  await using server = await startServer({ host: failing })
  await server.predict({ prompt: '' })
  using socket = await server.socket()
  socket.send('nonsense')
  await socket.answer()
  socket.send({ prompt: 'x' })
  await socket.answer()
  const series = await seriesOf(server)
  expect(series).toContain('simpleia_engine_deaths_total{model="fake"} 1')
  const errors = series.filter((line) => line.startsWith('simpleia_errors_total'))
  expect(errors.sort()).toEqual(['simpleia_errors_total{code="invalid"} 2', 'simpleia_errors_total{code="unavailable"} 1'])
})

test('tokens, first tokens, the engine and the process are counted', async () => {
  await using server = await startServer({ host: host() })
  await server.predict({ prompt: 'x' })
  const series = await seriesOf(server)
  const value = (name: string) => Number(series.find((line) => line.startsWith(`${name} `))?.split(' ')[1])
  expect(value('simpleia_completion_tokens_total{model="fake"}')).toBe(2)
  expect(value('simpleia_prompt_tokens_total{model="fake"}')).toBe(1)
  expect(value('simpleia_generations_total{outcome="ok",model="fake"}')).toBe(1)
  for (const name of ['time_to_first_token', 'queue_wait', 'prompt_duration', 'time_per_output_token', 'generation_duration'])
    expect(value(`simpleia_${name}_seconds_count{model="fake"}`), name).toBe(1)
  expect(value('simpleia_engine_ready')).toBe(1)
  expect(value('simpleia_generations_active')).toBe(0)
  expect(value('simpleia_generations_queued')).toBe(0)
  expect(value('process_resident_memory_bytes')).toBeGreaterThan(1e7)
  expect(value('process_cpu_seconds_total')).toBeGreaterThan(0)
  expect(series.some((line) => line.startsWith('simpleia_event_loop_delay_seconds_count '))).toBe(true)
  expect(series.some((line) => line.startsWith('simpleia_engine_resident_bytes '))).toBe(true)
})

test('each model tells its slots, its queue, its context memory and its batches, and what was guessed right', async () => {
  const pieces = Array.from({ length: 60 }, (_, index) => 'abcdef'[index % 6] ?? '')
  // A step of a single token takes as long as one of many.
  await using server = await startServer({
    host: createFakeEngine({ answer: () => ({ pieces }), parallel: 3, stepCost: () => 1 }),
  })
  await server.predict({ prompt: 'x', max_length: 60 })
  const values = async () =>
    new Map((await seriesOf(server)).map((line) => [line.replace(/ \S+$/, ''), Number(line.split(' ').at(-1))]))
  const told = await values()
  const of = (name: string) => told.get(`simpleia_${name}{model="fake"}`) ?? Number.NaN
  expect([of('model_loaded'), of('slots'), of('slots_used'), of('queue_depth'), of('queue_limit')]).toEqual([1, 3, 0, 0, 64])
  expect([of('kv_cache_used_tokens'), of('kv_cache_held_tokens') > 0]).toEqual([0, true])
  expect(of('kv_cache_size_tokens')).toBe(4096 * 3 * 2)
  // All that was evaluated: the prompt, each token but the last, and guesses that were wrong.
  expect(of('draft_tokens_total')).toBeGreaterThan(10)
  expect(of('draft_accepted_tokens_total')).toBeLessThanOrEqual(of('draft_tokens_total'))
  const wrong = of('draft_tokens_total') - of('draft_accepted_tokens_total')
  expect(of('batch_tokens_sum')).toBe(1 + 59 + wrong)
  expect(of('batch_tokens_count')).toBeLessThan(59)
  expect(told.get('simpleia_batch_tokens_bucket{le="+Inf",model="fake"}')).toBe(of('batch_tokens_count'))
  expect(told.get('process_start_time_seconds')).toBe((await values()).get('process_start_time_seconds'))
})

test('texts, stages of documents, statements and disks are counted', async () => {
  await using server = await startServer({ host: host() })
  const headers = { authorization: `Bearer ${await server.login('ana')}` }
  const post = (url: string, payload: object) => server.app.http.inject({ method: 'POST', url, headers, payload })
  await post('/embed/add', { documents: ['one', 'three'] })
  const question = { question: 'one', mode: 'vector', threshold: -1, rerank: 'fake-reranker' }
  expect((await post('/rag/query', question)).statusCode).toBe(200)
  const file = new FormData()
  file.append('file', new Blob(['A text about cats.']), 'cats.txt')
  const sent = await fetch(`${server.url}/rag/documents`, { method: 'POST', headers, body: file })
  expect(sent.status, await sent.text()).toBeLessThan(300)
  const series = await seriesOf(server)
  const value = (name: string) =>
    Number(
      series
        .find((line) => line.startsWith(`${name} `))
        ?.split(' ')
        .at(-1),
    )
  expect(value('simpleia_embedding_texts_total{model="fake-embedder"}')).toBeGreaterThan(2)
  expect(value('simpleia_embedding_tokens_total{model="fake-embedder"}')).toBeGreaterThan(10)
  expect(value('simpleia_embedding_requests_active')).toBe(0)
  expect(value('simpleia_rerank_requests_total{outcome="ok",model="fake-reranker"}')).toBe(1)
  expect(value('simpleia_rerank_duration_seconds_count{model="fake-reranker"}')).toBe(1)
  for (const stage of ['extract', 'split', 'embed', 'retrieve', 'rerank', 'answer'])
    expect(value(`simpleia_rag_stage_duration_seconds_count{stage="${stage}"}`), stage).toBe(1)
  for (const kind of ['select', 'insert', 'transaction'])
    expect(value(`simpleia_database_query_duration_seconds_count{kind="${kind}"}`), kind).toBeGreaterThan(0)
  expect(value('simpleia_disk_free_bytes{folder="data"}')).toBeGreaterThan(0)
  expect(value('simpleia_database_connections{state="idle"}') >= 0).toBe(onPostgres)
})

test('a database that is gone takes no other number with it, and is asked once a reading', async () => {
  const cache = () => ({ entries: 0, hits: 0, misses: 0, evictions: 0 })
  const engine = () => ({ state: 'ready', reason: undefined, active: 0, queued: 0, residentBytes: 0, models: [] }) as const
  const metrics = createMetrics({ engine, cache })
  let isGone = false
  let readings = 0
  metrics.watchTraining(async () => {
    readings += 1
    if (isGone) throw new AppError('unavailable', 'The database is gone.')
    return { counts: new Map([['failed', 2]]), step: 3, loss: 1, tokensPerSecond: 5, isYielding: false }
  })
  expect(await metrics.text()).toMatch(/^simpleia_training_runs\{state="failed"\} 2$/m)
  expect(readings).toBe(1)
  isGone = true
  const text = await metrics.text()
  expect(text).toMatch(/^simpleia_engine_ready 1$/m)
  expect(text).not.toMatch(/^simpleia_training/m)
  isGone = false
  expect(await metrics.text()).toMatch(/^simpleia_training_step 3$/m)
  await metrics.close()
})

test('a request is under way until it has ended', async () => {
  await using server = await startServer({
    host: createFakeEngine({ answer: () => ({ pieces: ['a'], end: false }), pauseMs: 1 }),
  })
  const active = async () =>
    /^simpleia_http_requests_active (\d+)$/m.exec(await (await fetch(`${server.url}/metrics`)).text())?.[1]
  // The one that asks is one of them.
  expect(await active()).toBe('1')
  const gone = new AbortController()
  const response = await server.predict({ prompt: 'x', stream: true }, {}, gone.signal)
  await response.body?.getReader().read()
  expect(await active()).toBe('2')
  gone.abort()
  await expect.poll(active).toBe('1')
})

test('models of clouds are one label, and so are those that no process can have', () => {
  const labelOf = createModelLabels()
  expect(labelOf({ model: 'gpt-5', ranOn: 'cloud' })).toBe('other')
  const labels = Array.from({ length: 200 }, (_, index) => labelOf({ model: `m-${index}`, ranOn: 'local' }))
  expect(new Set(labels).size).toBe(65)
  expect(labelOf({ model: 'm-0', ranOn: 'local' })).toBe('m-0')
})

test('what the database did wrong is counted by its code', async () => {
  const told: unknown[] = []
  await using folder = await openFolder()
  const storage = await openStorage({
    url: await databaseAt(`${folder.path}/a.db`),
    onQuery: (kind, _seconds, failure) => told.push([kind, failure]),
  })
  await expect(sql`select nonsense from nowhere`.execute(storage.db)).rejects.toThrow()
  expect(told.at(-1)).toEqual(['select', 'other'])
  await storage.close()
})

test.runIf(onPostgres)('a database that cannot be reached is counted, though no statement came to it', async () => {
  const told: unknown[] = []
  const onQuery: QueryListener = (kind, _seconds, failure) => told.push([kind, failure])
  await expect(openStorage({ url: 'postgres://nobody@127.0.0.1:1/none', onQuery })).rejects.toMatchObject({ code: 'unavailable' })
  expect(told).toEqual([['connect', 'unavailable']])
})

describe('who may read them', () => {
  test('a caller on this machine may', async () => {
    await using server = await startServer({ host: host() })
    for (const remoteAddress of ['127.0.0.1', '::1', '::ffff:127.0.0.1']) {
      expect((await server.app.http.inject({ url: '/metrics', remoteAddress })).statusCode).toBe(200)
    }
  })

  test('others need a token, also behind a proxy on this machine', async () => {
    await using server = await startServer({ host: host() })
    const { http } = server.app
    expect((await http.inject({ url: '/metrics', remoteAddress: '192.0.2.1' })).statusCode).toBe(401)
    for (const header of ['x-forwarded-for', 'forwarded', 'x-real-ip']) {
      expect((await http.inject({ url: '/metrics', headers: { [header]: '192.0.2.1' } })).statusCode).toBe(401)
    }
    const headers = { authorization: `Bearer ${await server.login('ana')}` }
    expect((await http.inject({ url: '/metrics', headers, remoteAddress: '192.0.2.1' })).statusCode).toBe(200)
  })

  test('METRICS_TOKEN opens them, whole, and nothing else', async () => {
    const token = 'a-token-for-collectors-of-enough-characters'
    await using server = await startServer({ host: host(), settings: { METRICS_TOKEN: token, ALLOW_ANONYMOUS: 'false' } })
    const statusOf = async (url: string, authorization: string) =>
      (await server.app.http.inject({ url, headers: { authorization }, remoteAddress: '192.0.2.1' })).statusCode
    expect(await statusOf('/metrics', `Bearer ${token}`)).toBe(200)
    for (const wrong of [`Bearer ${token.slice(1)}`, `Bearer ${token}x`, `Basic ${token}`, token, 'Bearer', ''])
      expect([wrong, await statusOf('/metrics', wrong)]).toEqual([wrong, 401])
    for (const url of ['/auth/me', '/admin/overview', '/models'])
      expect([url, await statusOf(url, `Bearer ${token}`)]).toEqual([url, 401])
  })

  test('a database that hangs holds up no other number', async () => {
    const cache = () => ({ entries: 0, hits: 0, misses: 0, evictions: 0 })
    const engine = () => ({ state: 'ready', reason: undefined, active: 0, queued: 0, residentBytes: 0, models: [] }) as const
    const metrics = createMetrics({ engine, cache })
    metrics.watchTraining(() => new Promise(() => {}))
    const text = await metrics.text()
    expect(text).toMatch(/^simpleia_engine_ready 1$/m)
    expect(text).not.toMatch(/^simpleia_training/m)
    await metrics.close()
  })
})
