import { describe, expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer, type TestServer } from '../server.ts'

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

test('errors are counted by code, those on a socket too', async () => {
  const failing = createFakeEngine({ answer: () => ({ pieces: ['a', 'b'], failAfter: 1 }) })
  await using server = await startServer({ host: failing })
  await server.predict({ prompt: '' })
  using socket = await server.socket()
  socket.send('nonsense')
  await socket.answer()
  socket.send({ prompt: 'x' })
  await socket.answer()
  const errors = (await seriesOf(server)).filter((line) => line.startsWith('simpleia_errors_total'))
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
})
