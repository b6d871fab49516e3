import { setImmediate } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { ModelHost } from '../../src/engine/provider.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer, type TestServer } from '../server.ts'

const rounds = 70

async function untilIdle(server: TestServer): Promise<number> {
  const start = performance.now()
  for (;;) {
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    if (/^simpleia_generations_active 0$/m.test(metrics)) return performance.now() - start
    if (performance.now() - start > 3000) throw new Error('The model is still busy after 3 s.')
  }
}

const endless = () => createFakeEngine({ answer: () => ({ pieces: ['word '], end: false }), pauseMs: 1, parallel: 2 })

/** Until the model has the request. */
async function untilBusy(host: ModelHost): Promise<void> {
  while (host.status().active === 0) await setImmediate()
}

/** A new one each time, so that none of it is in memory yet. */
let prompts = 0
function longPrompt(): string {
  prompts += 1
  return `${prompts} ${'x'.repeat(1500)}`
}

type World = Readonly<{ server: TestServer; host: ModelHost }>

const leave = {
  'after three pieces of a stream': async ({ server }: World) => {
    const gone = new AbortController()
    const response = await server.predict({ prompt: 'x', stream: true, max_length: 2000 }, {}, gone.signal)
    const reader = response.body?.getReader()
    for (let piece = 0; piece < 3; piece += 1) await reader?.read()
    gone.abort()
  },
  'before the first byte of a whole answer': async ({ server, host }: World) => {
    const gone = new AbortController()
    const answer = server.predict({ prompt: 'x', max_length: 2000 }, {}, gone.signal).catch(() => undefined)
    await untilBusy(host)
    gone.abort()
    await answer
  },
  'while a long prompt is read, before the first byte of a stream': async ({ server, host }: World) => {
    const gone = new AbortController()
    const answer = server
      .predict({ prompt: longPrompt(), max_length: 2000, stream: true }, {}, gone.signal)
      .catch(() => undefined)
    await untilBusy(host)
    gone.abort()
    await answer
  },
  'while a long prompt is read, with a WebSocket that is cut': async ({ server, host }: World) => {
    using socket = await server.socket()
    socket.send({ prompt: longPrompt(), max_length: 2000 })
    await untilBusy(host)
    socket.socket.terminate()
  },
  'with a WebSocket that is cut': async ({ server }: World) => {
    using socket = await server.socket()
    socket.send({ prompt: 'x', max_length: 2000 })
    for (let piece = 0; piece < 3; piece += 1) await socket.next()
    socket.socket.terminate()
  },
  'with a stop message': async ({ server }: World) => {
    using socket = await server.socket()
    socket.send({ prompt: 'x', max_length: 2000, request_id: 'a' })
    await socket.next()
    socket.send({ type: 'stop', request_id: 'a' })
    const messages = await socket.answer()
    expect(messages.at(-1)).toMatchObject({ type: 'done', finish_reason: 'stopped', request_id: 'a' })
  },
}

describe('a caller who leaves frees the model', () => {
  test.each(Object.entries(leave))('%s', async (_how, leaveOnce) => {
    const host = endless()
    await using server = await startServer({ host })
    let longestMs = 0
    for (let round = 0; round < rounds; round += 1) {
      await leaveOnce({ server, host })
      longestMs = Math.max(longestMs, await untilIdle(server))
    }
    expect(longestMs).toBeLessThan(1000)
    const next = await server.predict({ prompt: 'x', max_length: 3 }, {}, AbortSignal.timeout(2000))
    expect(next.status).toBe(200)
  })

  test('and is counted as one who left, not as a success', async () => {
    const host = endless()
    await using server = await startServer({ host })
    await leave['before the first byte of a whole answer']({ server, host })
    await untilIdle(server)
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toMatch(/simpleia_http_requests_total\{method="POST",route="\/predict",status="499"\} 1/)
    expect(metrics).toMatch(/simpleia_generations_total\{outcome="aborted",model="fake"\} 1/)
  })
})
