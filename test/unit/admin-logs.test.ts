import { fastify } from 'fastify'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createLogLines } from '../../src/admin/log-lines.ts'
import { serveLogs } from '../../src/admin/log-routes.ts'
import type { LogLine } from '../../src/admin/schema.ts'
import { createClient } from '../../src/client.ts'
import { saying } from '../answer-scripts.ts'
import { createScriptedHost } from '../scripted-host.ts'
import { startServer } from '../server.ts'

const nowMs = Date.UTC(2026, 0, 1)
const lineOf = (msg: string, level = 30, more: object = {}) =>
  `${JSON.stringify({ level, time: nowMs, pid: 1, hostname: 'here', ...more, msg })}\n`
const all = { limit: 1000 }
const texts = (lines: readonly LogLine[]) => lines.map(({ message }) => message)

describe('the last lines', () => {
  test('are told as they were logged, with what else is in them', () => {
    const lines = createLogLines(() => nowMs)
    lines.write(lineOf('answered', 30, { reqId: 'a', status: 200, err: { type: 'Error', stack: 'x', cause: { message: 'y' } } }))
    expect(lines.list(all)).toEqual([
      {
        at: '2026-01-01T00:00:00.000Z',
        level: 'info',
        message: 'answered',
        fields: { reqId: 'a', status: 200, err: { type: 'Error', stack: 'x', cause: { message: 'y' } } },
      },
    ])
  })

  test('are at most a thousand, and those of a level or worse', () => {
    const lines = createLogLines(() => nowMs)
    for (let index = 0; index < 5000; index += 1) lines.write(lineOf(String(index), index % 100 === 0 ? 50 : 30))
    expect(texts(lines.list({ limit: 1000 }))).toEqual(Array.from({ length: 1000 }, (_, index) => String(4000 + index)))
    expect(texts(lines.list({ limit: 2 }))).toEqual(['4998', '4999'])
    expect(texts(lines.list({ limit: 3, level: 'error' }))).toEqual(['4700', '4800', '4900'])
  })

  test.each([
    [10, 'debug'],
    [20, 'debug'],
    [30, 'info'],
    [40, 'warn'],
    [50, 'error'],
    [60, 'error'],
  ])('of level %i are %s', (number, level) => {
    const lines = createLogLines(() => nowMs)
    lines.write(lineOf('x', number))
    expect(lines.list(all)[0]?.level).toBe(level)
  })

  test('that are very long are cut, and told all the same', () => {
    const lines = createLogLines(() => 0)
    lines.write(lineOf('x', 40, { long: 'y'.repeat(100_000) }))
    const [line] = lines.list(all)
    expect(line).toMatchObject({ at: '2026-01-01T00:00:00.000Z', level: 'warn', fields: {} })
    expect(line?.message.length).toBeLessThan(10_000)
  })
})

describe('who follows', () => {
  test('gets the last lines and then those that come, each once, until the end', async () => {
    const lines = createLogLines(() => nowMs)
    lines.write(lineOf('before'))
    const over = new AbortController()
    const follower = lines.follow({ limit: 10, level: 'info' }, over.signal)
    const next = async () => (await follower.next()).value?.message
    expect(await next()).toBe('before')
    const waits = next()
    lines.write(lineOf('unseen', 20))
    lines.write(lineOf('one'))
    lines.write(lineOf('two', 50))
    expect([await waits, await next()]).toEqual(['one', 'two'])
    const end = next()
    over.abort()
    expect(await end).toBeUndefined()
  })

  test('gets lines that are very long cut, too', async () => {
    const lines = createLogLines(() => nowMs)
    const follower = lines.follow(all, new AbortController().signal)
    const next = follower.next()
    lines.write(lineOf('x', 40, { long: 'y'.repeat(100_000) }))
    expect((await next).value?.message.length).toBeLessThan(10_000)
    await follower.return(undefined)
  })

  test('and reads too slowly is told how many lines are missing, and goes on from there', async () => {
    const lines = createLogLines(() => nowMs)
    const over = new AbortController()
    const follower = lines.follow(all, over.signal)
    const first = follower.next()
    lines.write(lineOf('first'))
    await first
    for (let index = 0; index < 800; index += 1) lines.write(lineOf(String(index)))
    const read: LogLine[] = []
    for (let count = 0; count < 501; count += 1) read.push((await follower.next()).value ?? expect.fail())
    expect(texts(read).slice(0, 500)).toEqual(Array.from({ length: 500 }, (_, index) => String(index)))
    expect(read[500]).toMatchObject({ level: 'warn', message: expect.stringContaining('300'), fields: { left_out: 300 } })
    const next = follower.next()
    lines.write(lineOf('on'))
    expect((await next).value?.message).toBe('on')
    over.abort()
  })

  test('is let go when the service ends', async () => {
    const lines = createLogLines(() => nowMs)
    const next = lines.follow(all, new AbortController().signal).next()
    await lines.close()
    expect((await next).done).toBe(true)
  })
})

async function openWorld() {
  const out: string[] = []
  const server = await startServer({
    host: createScriptedHost(() => saying('canary-answer')),
    settings: { LOG_LEVEL: 'debug' },
    logStream: { write: (line) => void out.push(line) },
  })
  onTestFinished(() => server[Symbol.asyncDispose]())
  const token = await server.login('root')
  return { server, out, token, root: createClient({ baseUrl: server.url, token }) }
}

describe('GET /admin/logs', () => {
  test('has what the log has, which stays as it is, and neither prompts nor secrets', async () => {
    const { server, out, token, root } = await openWorld()
    const key = await root.addKey({ name: 'canary-name' })
    await server.predict({ prompt: 'canary-prompt' }, { authorization: `Bearer ${token}` })
    await server.predict({ prompt: 'canary-prompt', nonsense: 1 })
    await fetch(`${server.url}/nowhere?canary=canary`)
    await expect.poll(async () => texts((await root.logs({ limit: 1000 })).lines).length).toBeGreaterThan(4)
    const { lines } = await root.logs({ limit: 1000 })
    expect(lines.find(({ fields }) => fields.route === '/predict')).toMatchObject({
      level: 'info',
      message: 'answered',
      fields: { method: 'POST', status: 200, durationMs: expect.any(Number), reqId: expect.any(String) },
    })
    for (const secret of ['canary', token, key.key, 'long-password']) expect(JSON.stringify(lines)).not.toContain(secret)
    const logged = out.map((line) => JSON.parse(line).msg)
    expect(texts(lines)).toEqual(logged.slice(0, lines.length))
    expect((await root.logs({ level: 'error' })).lines).toEqual([])
  })

  test('is followed live, and ends with the service', async () => {
    const { server, root } = await openWorld()
    const gone = new AbortController()
    const seen: LogLine[] = []
    const followed = (async () => {
      for await (const line of root.followLogs({ limit: 1 }, gone.signal)) seen.push(line)
    })()
    await expect.poll(() => seen.length).toBeGreaterThan(0)
    await (await fetch(`${server.url}/nowhere`)).text()
    await expect.poll(() => seen.map(({ fields }) => fields.status)).toContain(404)
    await server.app.close({ graceMs: 0 })
    await followed
    gone.abort()
  })

  test('of a level that there is not, or more lines than there are, is refused', async () => {
    const { server, token } = await openWorld()
    for (const query of ['level=fatal', 'limit=0', 'limit=1001', 'stream=perhaps', 'since=1']) {
      const response = await fetch(`${server.url}/admin/logs?${query}`, { headers: { authorization: `Bearer ${token}` } })
      expect({ query, status: response.status }).toEqual({ query, status: 400 })
    }
  })
})

test('who follows the log is let go once they may no longer, however much is logged', async () => {
  let isValid = true
  const lines = createLogLines(() => nowMs)
  const silences = new Set<() => void>()
  const silence = (signal: AbortSignal) =>
    new Promise<void>((resolve, reject) => {
      silences.add(resolve)
      signal.addEventListener('abort', () => reject(signal.reason))
    })
  const http = fastify()
  onTestFinished(() => http.close())
  serveLogs(http, { lines, isStillValid: async () => isValid, silence })
  lines.write(lineOf('seen'))
  const answer = http.inject('/admin/logs?stream=true&limit=1')
  await expect.poll(() => silences.size).toBeGreaterThan(1)
  const endSilences = () => [...silences].forEach((end) => void end())
  endSilences()
  await expect.poll(() => silences.size).toBeGreaterThan(3)
  isValid = false
  endSilences()
  const { body } = await answer
  lines.write(lineOf('unseen'))
  expect(body).toContain('"seen"')
  expect(body).not.toContain('unseen')
})
