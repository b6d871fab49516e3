import { describe, expect, test } from 'vitest'
import { createFakeEngine } from '../fake-engine.ts'
import { startServer, type TestServer } from '../server.ts'

const rounds = 50

async function untilIdle(server: TestServer): Promise<number> {
  const start = performance.now()
  for (;;) {
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    if (/^simpleia_generations_active 0$/m.test(metrics)) return performance.now() - start
    if (performance.now() - start > 3000) throw new Error('The model is still busy after 3 s.')
  }
}

const endless = () =>
  startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['word '], end: false }), pauseMs: 1, parallel: 2 }) })

const leave = {
  'after three pieces of a stream': async (server: TestServer) => {
    const gone = new AbortController()
    const response = await server.predict({ prompt: 'x', stream: true, max_length: 2000 }, {}, gone.signal)
    const reader = response.body?.getReader()
    for (let piece = 0; piece < 3; piece += 1) await reader?.read()
    gone.abort()
  },
  'before the first byte of a whole answer': async (server: TestServer) => {
    const gone = new AbortController()
    const answer = server.predict({ prompt: 'x', max_length: 2000 }, {}, gone.signal).catch(() => undefined)
    setTimeout(() => gone.abort(), 5)
    await answer
  },
  'with a WebSocket that is cut': async (server: TestServer) => {
    using socket = await server.socket()
    socket.send({ prompt: 'x', max_length: 2000 })
    for (let piece = 0; piece < 3; piece += 1) await socket.next()
    socket.socket.terminate()
  },
  'with a stop message': async (server: TestServer) => {
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
    await using server = await endless()
    let longestMs = 0
    for (let round = 0; round < rounds; round += 1) {
      await leaveOnce(server)
      longestMs = Math.max(longestMs, await untilIdle(server))
    }
    expect(longestMs).toBeLessThan(1000)
    expect((await server.predict({ prompt: 'x', max_length: 3 })).status).toBe(200)
  })

  test('and is counted as one who left, not as a success', async () => {
    await using server = await endless()
    await leave['before the first byte of a whole answer'](server)
    await untilIdle(server)
    const metrics = await (await fetch(`${server.url}/metrics`)).text()
    expect(metrics).toMatch(/simpleia_http_requests_total\{method="POST",route="\/predict",status="499"\} 1/)
    expect(metrics).toMatch(/simpleia_generations_total\{outcome="aborted"\} 1/)
  })
})
