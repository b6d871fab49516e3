import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, onTestFinished, test } from 'vitest'
import WebSocket from 'ws'
import type { EngineStatus, ModelHost } from '../../src/engine/provider.ts'
import { AppError } from '../../src/errors.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { measured } from '../measured.ts'
import { bodyOf, startServer } from '../server.ts'
import { parseEventStream } from '../sse-parser.ts'

const endless = () => createFakeEngine({ answer: () => ({ pieces: ['word '], end: false }), pauseMs: 5 })

async function startProcess(graceMs: number, pieces: number | 'endless') {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-life-'))
  const script = join(import.meta.dirname, 'lifecycle-process.ts')
  const child = spawn(process.execPath, ['--unhandled-rejections=strict', script, folder, String(graceMs), String(pieces)])
  const errors: string[] = []
  child.stderr.on('data', (chunk) => errors.push(String(chunk)))
  onTestFinished(async () => {
    child.kill('SIGKILL')
    await rm(folder, { recursive: true, force: true })
  })
  const [url]: string[] = await once(createInterface({ input: child.stdout }), 'line')
  return { child, url: url ?? '', errors }
}

async function exitOf(child: ChildProcess): Promise<Readonly<{ code: number | null; afterMs: number }>> {
  const start = performance.now()
  const [code] = await once(child, 'exit')
  return { code, afterMs: performance.now() - start }
}

function ask(url: string, body: object): Promise<Response> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }
  return fetch(`${url}/predict`, init)
}

async function openSocketWithWork(url: string) {
  const socket = new WebSocket(`${url.replace('http', 'ws')}/predict/ws`)
  await once(socket, 'open')
  const messages: Array<Record<string, unknown>> = []
  socket.on('message', (data) => messages.push(JSON.parse(String(data))))
  socket.send(JSON.stringify({ prompt: 'x', max_length: 100_000 }))
  await once(socket, 'message')
  return { messages, closed: once(socket, 'close').then(([code]) => Number(code)) }
}

function openIdleConnection(url: string): Promise<{ closed: Promise<unknown> }> {
  return new Promise((resolve) => {
    const socket = connect(Number(new URL(url).port), '127.0.0.1', () => {
      socket.write('GET /health HTTP/1.1\r\nhost: localhost\r\n\r\n')
      socket.once('data', () => resolve({ closed: once(socket, 'close') }))
    })
  })
}

/** What runs when the signal comes: three streams, two sockets, a waiting request and a connection that does nothing. */
async function startWork(url: string) {
  const responses = await Promise.all(
    Array.from({ length: 3 }, () => ask(url, { prompt: 'x', stream: true, max_length: 100_000 })),
  )
  const sockets = [await openSocketWithWork(url), await openSocketWithWork(url)]
  const queued = ask(url, { prompt: 'x', max_length: 100_000 })
  const idle = await openIdleConnection(url)
  return { responses, sockets, queued, idle }
}

async function refuses(url: string): Promise<boolean> {
  return fetch(`${url}/health/ready`, { headers: { connection: 'close' } }).then(
    () => false,
    () => true,
  )
}

describe('SIGTERM', () => {
  test('ends an idle service within two seconds, with success and a free port', async () => {
    const { child, url, errors } = await startProcess(10_000, 1)
    const idle = await openIdleConnection(url)
    child.kill('SIGTERM')
    const { code, afterMs } = await exitOf(child)
    await idle.closed
    expect([code, errors]).toEqual([0, []])
    expect(afterMs).toBeLessThan(2000)
    expect(await refuses(url)).toBe(true)
  })

  test('gives streams the grace time, then ends them with an error event', async () => {
    const graceMs = 600
    const { child, url, errors } = await startProcess(graceMs, 'endless')
    const { responses, sockets, queued, idle } = await startWork(url)
    child.kill('SIGTERM')
    const exit = exitOf(child)
    await idle.closed
    expect(await refuses(url)).toBe(true)
    for (const response of responses) {
      const events = parseEventStream(await response.text())
      expect(events.filter(({ event }) => event !== 'message')).toEqual([
        { event: 'error', data: expect.stringContaining('unavailable') },
      ])
    }
    for (const { messages, closed } of sockets) {
      expect(await closed).toBe(1001)
      expect(messages.at(-1)).toMatchObject({ type: 'error', error: { code: 'unavailable' } })
    }
    const { error } = await bodyOf(await queued)
    expect(error.code).toBe('unavailable')
    const { code, afterMs } = await exit
    expect([code, errors]).toEqual([0, []])
    expect(afterMs).toBeGreaterThanOrEqual(graceMs - 50)
    expect(afterMs).toBeLessThan(graceMs + 2000)
  })

  test('lets whole what ends within the grace time, also what was waiting', async () => {
    const { child, url, errors } = await startProcess(10_000, 40)
    const { responses, sockets, queued } = await startWork(url)
    child.kill('SIGTERM')
    const exit = exitOf(child)
    for (const response of responses) {
      const events = parseEventStream(await response.text())
      expect([events.length, events.at(-1)?.event]).toEqual([41, 'done'])
    }
    for (const { messages, closed } of sockets) {
      expect(await closed).toBe(1001)
      expect([messages.length, messages.at(-1)?.type]).toEqual([41, 'done'])
    }
    expect((await bodyOf(await queued)).choices[0]?.text).toBe('word '.repeat(40))
    expect([(await exit).code, errors]).toEqual([0, []])
  })

  test('twice ends it at once', async () => {
    const { child, url } = await startProcess(60_000, 'endless')
    const response = await ask(url, { prompt: 'x', stream: true, max_length: 100_000 })
    const broken = response.text().catch(() => 'broken')
    child.kill('SIGTERM')
    await expect.poll(() => refuses(url)).toBe(true)
    child.kill('SIGTERM')
    const { code, afterMs } = await exitOf(child)
    expect(code).toBe(143)
    expect(afterMs).toBeLessThan(1000)
    expect(await broken).toBe('broken')
  })
})

describe('closing', () => {
  test('says at once that nothing new is taken, while what runs goes on', async () => {
    const host = endless()
    await using server = await startServer({ host })
    const { http } = server.app
    const answer = server.predict({ prompt: 'x', max_length: 60 })
    await expect.poll(() => host.status().active).toBe(1)
    const closing = server.app.close({ graceMs: 10_000 })
    const ready = await http.inject({ url: '/health/ready' })
    expect([ready.statusCode, ready.json().error.message]).toEqual([503, 'The service is shutting down.'])
    expect((await http.inject({ url: '/health' })).statusCode).toBe(200)
    const refused = await http.inject({ method: 'POST', url: '/predict', payload: { prompt: 'x' } })
    expect([refused.statusCode, refused.headers.connection, refused.headers['retry-after']]).toEqual([503, 'close', '5'])
    expect((await bodyOf(await answer)).choices[0]?.finish_reason).toBe('length')
    await closing
  })

  test('goes on with everything for a while, though it is not ready any more, so that whoever sends requests can notice', async () => {
    await using server = await startServer({
      host: createFakeEngine({ answer: () => ({ pieces: ['a'] }) }),
      settings: { SHUTDOWN_DELAY_SECONDS: '1' },
    })
    const closing = server.app.close({ graceMs: 0 })
    expect((await fetch(`${server.url}/health/ready`)).status).toBe(503)
    expect((await server.predict({ prompt: 'x' })).status).toBe(200)
    await closing
    await expect(fetch(`${server.url}/health`)).rejects.toThrow()
  })

  test('does not wait for a reader that does not read', async () => {
    const host = createFakeEngine({ answer: () => ({ pieces: ['x'.repeat(100_000)], end: false }) })
    await using server = await startServer({ host })
    const body = JSON.stringify({ prompt: 'x', stream: true, max_length: 100_000 })
    const socket = connect(server.port, '127.0.0.1', () => {
      socket.write(
        `POST /predict HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
      )
    })
    socket.pause()
    await expect.poll(() => host.status().active).toBe(1)
    await sleep(200)
    const start = performance.now()
    await server.app.close({ graceMs: 100 })
    expect(performance.now() - start).toBeLessThan(5000)
    socket.destroy()
  })

  test('twice is the same as once', async () => {
    await using server = await startServer({ host: endless() })
    await Promise.all([server.app.close(), server.app.close()])
    await server.app.close()
  })

  test('an app that cannot be composed closes the model host', async () => {
    let closes = 0
    const host: ModelHost = {
      ...endless(),
      close: async () => {
        closes += 1
      },
    }
    await expect(startServer({ host, settings: { DATABASE_URL: 'postgres://127.0.0.1:1/none' } })).rejects.toThrow(AppError)
    expect(closes).toBe(1)
  })
})

describe('readiness', () => {
  test('comes when the model has come; life is there all the time', async () => {
    let status: EngineStatus = { state: 'loading', reason: undefined, active: 0, queued: 0, residentBytes: 0, models: [] }
    const host: ModelHost = { ...endless(), status: () => status }
    await using server = await startServer({ host })
    const statuses = async () => [
      (await fetch(`${server.url}/health`)).status,
      (await fetch(`${server.url}/health/ready`)).status,
    ]
    expect(await statuses()).toEqual([200, 503])
    status = { ...status, state: 'ready' }
    expect(await statuses()).toEqual([200, 200])
    status = { ...status, state: 'failed', reason: 'The file "half.gguf" is cut off.' }
    expect(await statuses()).toEqual([200, 503])
    const { error } = await bodyOf(await fetch(`${server.url}/health/ready`))
    expect(error).toMatchObject({ code: 'unavailable', message: 'The file "half.gguf" is cut off.' })
  })

  test('and life are told quickly while answers are being written', measured, async () => {
    const host = endless()
    await using server = await startServer({ host })
    const gone = new AbortController()
    const running = Array.from({ length: 8 }, () =>
      server.predict({ prompt: 'x', max_length: 100_000 }, {}, gone.signal).catch(() => undefined),
    )
    await expect.poll(() => host.status().active).toBe(8)
    const durations: number[] = []
    for (let probe = 0; probe < 100; probe += 1) {
      const start = performance.now()
      expect((await fetch(`${server.url}/health/ready`)).status).toBe(200)
      durations.push(performance.now() - start)
    }
    expect(durations.sort((a, b) => a - b)[98]).toBeLessThan(200)
    gone.abort()
    await Promise.all(running)
  })
})
