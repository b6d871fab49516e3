import { mkdtempSync, rmSync } from 'node:fs'
import { glob, readFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test } from 'vitest'
import { createRunningMinute } from '../../src/admin/history/running-minute.ts'
import { createStoredResponses } from '../../src/dialects/openai-responses-store.ts'
import { type Clock, systemClock } from '../../src/engine/cloud/clock.ts'
import { createEgress, type EgressEntry } from '../../src/engine/cloud/egress.ts'
import { openSettledTime } from '../../src/instances/settled-time.ts'
import { createProgress } from '../../src/models/download-events.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { createBrowser } from '../conversations-world.ts'
import { createFakeClock } from '../fake-clock.ts'
import { fakeEmbedder, fakeEmbedders } from '../fake-embedder.ts'
import { createFakeEngine } from '../fake-engine.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { bodyOf, startServer } from '../server.ts'

const [hourMs, dayMs, yearMs] = [3600_000, 24 * 3600_000, 365 * 24 * 3600_000]

/** A clock that is set, and time that goes by all the same. */
function createTime() {
  let wall = Date.UTC(2026, 5, 1, 12)
  let steady = 1
  const clock: Clock = { now: () => steady, after: systemClock.after }
  return {
    now: () => wall,
    clock,
    jump(ms: number): void {
      wall += ms
    },
    pass(ms: number): void {
      wall += ms
      steady += ms
    },
  }
}

function folderForTest(): string {
  const folder = mkdtempSync(join(tmpdir(), 'simpleia-clock-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}

const jumps: ReadonlyArray<readonly [string, number]> = [
  ['a day forward', dayMs],
  ['a year forward', yearMs],
  ['a day back', -dayMs],
  ['a year back', -yearMs],
]

const text = async (url: string) => (await fetch(url)).text()

/** The sum of a histogram of /metrics, in seconds. */
function sumOf(metrics: string, name: string): number {
  return [...metrics.matchAll(new RegExp(`^${name}_sum\\S* (\\S+)$`, 'gm'))].reduce((sum, [, value]) => sum + Number(value), 0)
}

describe.each(jumps)('when the clock jumps %s', (_how, jumpMs) => {
  test('answers, streams and sockets under way go on, and no measured time is wrong', async () => {
    const time = createTime()
    let tokens = 0
    const host = createFakeEngine({
      answer: () => {
        tokens += 1
        // Before the first token, and in the middle of the first answer.
        if (tokens === 1 || tokens === 3) time.jump(jumpMs)
        return { pieces: ['a ', 'b ', 'c ', 'd'] }
      },
    })
    const encode: typeof fakeEmbedder.encode = (request, signal) => {
      time.jump(jumpMs)
      return fakeEmbedder.encode(request, signal)
    }
    const usual = { ...fakeEmbedder, encode }
    const embedders = { ...fakeEmbedders, usual, find: async () => usual }
    await using server = await startServer({ host, embedders, ...time, socketLimits: { messagesPerSecond: 3 } })
    using socket = await server.socket()
    expect(await server.stream({ prompt: 'x' })).toMatchObject({ text: 'a b c d', end: { event: 'done' } })
    const embedded = await fetch(`${server.url}/api/embed`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: 'fake-embedder', input: 'x' }),
    })
    const { total_duration: nanoseconds } = await bodyOf<{ total_duration: number }>(embedded)
    expect(nanoseconds).toBeGreaterThan(0)
    expect(nanoseconds).toBeLessThan(60e9)
    // Three messages a second, before and after.
    for (let round = 0; round < 3; round += 1) {
      for (let one = 0; one < 3; one += 1) {
        socket.send({ prompt: 'x', request_id: `${round}.${one}` })
        expect((await socket.answer(`${round}.${one}`)).at(-1)).toMatchObject({ type: 'done' })
      }
      time.jump(jumpMs)
      time.pass(1000)
    }
    const metrics = await text(`${server.url}/metrics`)
    const seconds = sumOf(metrics, 'simpleia_time_to_first_token_seconds')
    expect(metrics).toContain('simpleia_time_to_first_token_seconds_sum')
    expect(seconds).toBeGreaterThanOrEqual(0)
    expect(seconds).toBeLessThan(60)
  })

  test('limits hold for their window and no longer, and cached answers for their time', async () => {
    const time = createTime()
    let asked = 0
    const host = createFakeEngine({
      answer: () => {
        asked += 1
        return { pieces: ['x'] }
      },
    })
    const settings = { RATE_LIMIT_REQUESTS: '2', RATE_LIMIT_WINDOW_SECONDS: '60', CACHE_TTL_SECONDS: '3600' }
    await using server = await startServer({ host, ...time, settings })
    const ask = async () => {
      const response = await server.predict({ prompt: 'x', seed: 1, temperature: 0 })
      return response.status === 200 ? (await bodyOf(response)).cached : response.status
    }
    expect([await ask(), await ask(), await ask()]).toEqual([false, true, 429])
    time.jump(jumpMs)
    expect(await ask()).toBe(429)
    time.pass(60_000)
    expect([await ask(), await ask(), await ask()]).toEqual([true, true, 429])
    time.pass(hourMs)
    expect(await ask()).toBe(false)
    expect(asked).toBeGreaterThan(1)
  })

  test('who is logged in stays so until the token ends by the clock, and who has logged out stays out', async () => {
    const time = createTime()
    const host = createFakeEngine({ answer: () => ({ pieces: ['x'] }) })
    const settings = { TOKEN_TTL_SECONDS: '3600' }
    await using server = await startServer({ host, ...time, settings })
    const [left, stays] = [await server.login('ana'), await server.login('ben')]
    const call = async (token: string, path: string, method = 'GET') =>
      (await fetch(`${server.url}${path}`, { method, headers: { authorization: `Bearer ${token}` } })).status
    expect(await call(left, '/auth/logout', 'POST')).toBe(204)
    time.jump(jumpMs)
    expect(await call(stays, '/auth/me')).toBe(jumpMs > 0 ? 401 : 200)
    // A login and a logout by the wrong clock: what is old goes then.
    const other = await server.login('eva')
    expect(await call(other, '/auth/me')).toBe(200)
    const gone = await server.login('eva')
    expect(await call(gone, '/auth/logout', 'POST')).toBe(204)
    time.jump(-jumpMs)
    expect([await call(left, '/auth/me'), await call(gone, '/auth/me'), await call(stays, '/auth/me')]).toEqual([401, 401, 200])
    time.pass(hourMs + 1000)
    expect(await call(stays, '/auth/me')).toBe(401)
  })

  test('messages of a conversation stay in their order', async () => {
    const time = createTime()
    const host = createFakeEngine({ answer: () => ({ pieces: ['x'] }) })
    await using server = await startServer({ host, ...time })
    const { client } = createBrowser(server.url)
    const { id } = await client.addConversation()
    let parent_id: string | null = null
    for (const content of ['one', 'two', 'three']) {
      const { answer } = await client.beginAnswer(id, { parent_id, content })
      await expect.poll(async () => (await client.messages(id)).items.at(-1)?.state).toBe('done')
      parent_id = answer.id
      time.jump(jumpMs)
    }
    const { items } = await client.messages(id)
    expect(items.flatMap(({ role, content }) => (role === 'user' ? [content] : []))).toEqual(['one', 'two', 'three'])
  })
})

test('who has logged out stays out, also where others did so by a clock that was ten years ahead', async () => {
  const time = createTime()
  await using server = await startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['x'] }) }), ...time })
  const call = async (token: string, path: string, method = 'GET') =>
    (await fetch(`${server.url}${path}`, { method, headers: { authorization: `Bearer ${token}` } })).status
  const left = await server.login('ana')
  await call(left, '/auth/logout', 'POST')
  time.jump(10 * yearMs)
  await call(await server.login('ben'), '/auth/logout', 'POST')
  time.jump(-10 * yearMs)
  expect(await call(left, '/auth/me')).toBe(401)
})

test('what was remembered outlives a start by a clock that is ten years ahead', async () => {
  const folder = folderForTest()
  const time = createTime()
  const start = () =>
    startServer({ host: createFakeEngine({ answer: () => ({ pieces: ['x'] }) }), ...time, settings: { DATA_DIR: folder } })
  const count = async (server: Awaited<ReturnType<typeof start>>, token: string) => {
    const response = await fetch(`${server.url}/predictions`, { headers: { authorization: `Bearer ${token}` } })
    return (await bodyOf<{ items: unknown[] }>(response)).items.length
  }
  {
    await using server = await start()
    const token = await server.login('ana')
    await server.predict({ prompt: 'x' }, { authorization: `Bearer ${token}` })
    expect(await count(server, token)).toBe(1)
  }
  time.jump(10 * yearMs)
  {
    // What is swept at the start has been when it has ended.
    await using _server = await start()
  }
  await using server = await start()
  expect(await count(server, await server.login('ana'))).toBe(1)
})

describe('the time by which what is old goes', () => {
  async function openWorld() {
    const storage = await openStorage({ url: await databaseAt(join(folderForTest(), 'simpleia.db')) })
    onTestFinished(storage.close)
    const { db } = storage
    let wall = Date.UTC(2026, 5, 1)
    const open = async () => {
      const clock = createFakeClock()
      return { clock, settled: await openSettledTime({ db, now: () => wall, clock }) }
    }
    return {
      open,
      wall: () => wall,
      set: (ms: number) => {
        wall = ms
      },
    }
  }

  test('is that of the clock, however time goes by', async () => {
    const { open, set, wall } = await openWorld()
    const { clock, settled } = await open()
    for (const ms of [0, 1, 1000, dayMs]) {
      set(wall() + ms)
      clock.advance(ms)
      expect(settled.now()).toBe(wall())
    }
  })

  test('follows a clock that is ahead by a day in each hour, and one that is behind at once', async () => {
    const { open, set, wall } = await openWorld()
    const { clock, settled } = await open()
    const before = wall()
    set(before + 10 * yearMs)
    expect(settled.now()).toBe(before)
    clock.advance(hourMs)
    set(wall() + hourMs)
    expect(settled.now()).toBe(before + dayMs + hourMs)
    set(before - yearMs)
    expect(settled.now()).toBe(before - yearMs)
  })

  test('is right again within the hour where the machine has slept for a night', async () => {
    const { open, set, wall } = await openWorld()
    const { clock, settled } = await open()
    set(wall() + 16 * hourMs)
    clock.advance(hourMs)
    expect(settled.now()).toBe(wall())
  })

  test('is remembered over a start, which trusts a clock that is less than a month ahead', async () => {
    const { open, set, wall } = await openWorld()
    const before = wall()
    await (await open()).settled.close()
    set(before + 29 * dayMs)
    const second = await open()
    expect(second.settled.now()).toBe(wall())
    await second.settled.close()
    set(before + 10 * yearMs)
    expect((await open()).settled.now()).toBe(before + 29 * dayMs)
  })
})

test('a stored response that came last is kept, though the clock was put back before it', async () => {
  const { db, close } = await openStorage({ url: await databaseAt(join(folderForTest(), 'simpleia.db')) })
  onTestFinished(close)
  let wall = Date.UTC(2026, 5, 1)
  const store = createStoredResponses({ db, now: () => wall, bounds: { responses: 2, bytes: 1e6 } })
  const [owner, never] = [{ key: 'address:1', userId: undefined }, null]
  for (const id of ['a', 'b', 'c']) {
    wall -= dayMs
    const response = JSON.parse(JSON.stringify({ id, previous_response_id: never }))
    await store.save(owner, { input: [], response })
  }
  const found = await Promise.all(['a', 'b', 'c'].map(async (id) => (await store.find(owner, id)) !== undefined))
  expect(found).toEqual([false, true, true])
})

test.each(jumps)('an errand outside has its true duration when the clock jumps %s meanwhile', async (_how, jumpMs) => {
  let wall = Date.UTC(2026, 5, 1)
  const entries: EgressEntry[] = []
  const egress = createEgress({
    localOnly: false,
    now: () => wall,
    fetch: async () => {
      wall += jumpMs
      return new Response('x')
    },
    record: async (entry) => void entries.push(entry),
  })
  const call = egress.begin({ purpose: 'page-fetch' })
  await (await call.fetch('https://example.org/')).text()
  await call.end()
  expect(entries.at(-1)?.durationMs).toBeGreaterThanOrEqual(0)
  expect(entries.at(-1)?.durationMs).toBeLessThan(60_000)
})

test.each(jumps)('a download goes on telling how far it is when the clock jumps %s', (_how, jumpMs) => {
  let wall = Date.UTC(2026, 5, 1)
  const told: number[] = []
  const tell = createProgress({
    report: (event) => {
      if (event.type !== 'download-progress') return
      told.push(event.receivedBytes)
      expect(event.bytesPerSecond).toBeGreaterThanOrEqual(0)
      expect(event.secondsLeft).toBeGreaterThanOrEqual(0)
    },
    now: () => wall,
    totalBytes: 1000,
    fromBytes: 0,
  })
  for (let received = 100; received < 1000; received += 100) {
    wall += 1000
    if (received === 300) wall += jumpMs
    tell(received)
  }
  expect(told.length).toBeGreaterThanOrEqual(8)
})

test.each(jumps)('each request is in one minute of the history when the clock jumps %s', (_how, jumpMs) => {
  let wall = Date.UTC(2026, 5, 1, 12, 30)
  const engine = () => ({ active: 0, queued: 0, residentBytes: 0 })
  const minutes = createRunningMinute({ now: () => wall, engine, serviceBytes: () => 1 })
  for (let request = 0; request < 6; request += 1) {
    minutes.requestEnd(200, 5)
    wall += request === 2 ? jumpMs : 60_000
  }
  minutes.end()
  const counts = minutes.takeOver().map(({ tally }) => tally.requests['2xx'])
  expect(counts).toEqual([1, 1, 1, 1, 1, 1])
})

/** Where the date itself is wanted, and not how long something takes. */
const datesWanted: Readonly<Record<string, string>> = {
  'src/app.ts': 'the clock of the service, which is handed on',
  'src/service.ts': 'when models were loaded and used, as it is shown',
  'src/cli/backup.ts': 'when a backup was made',
  'src/cli/convert.ts': 'the beat of a lock file',
  'src/cli/keys.ts': 'when a key ends',
  'src/cli/models.ts': 'the beat of a lock file',
  'src/cli/prepare.ts': 'the beat of a lock file',
  'src/cli/reset-password.ts': 'when a password was set, for the audit',
  'src/cli/with-egress.ts': 'when an errand began',
  'src/embed/snapshot-files.ts': 'how old a file of another machine is',
  'src/engine/chat-template-worker.ts': 'the date that a chat template writes',
  'src/metrics/process-metrics.ts': 'when the process began, looked at once',
  'src/models/unfinished.ts': 'how old a file of another machine is',
  'src/observe/observe-provider.ts': 'when a part of a trace ended',
  'src/observe/observe-rag.ts': 'when a part of a trace began',
  'src/observe/observe-training.ts': 'when a part of a trace began',
  'src/storage/beside.ts': 'how old a file of another machine is',
  'src/storage/conversation-migrations.ts': 'a migration',
  'src/storage/look-at-database.ts': 'how far the clock of the database is from ours',
  'src/storage/open-storage.ts': 'when a migration ran',
  'src/storage/process-folder.ts': 'how old a folder of another machine is',
}

test('the clock that may be set is read where a date is wanted, and nowhere else', async () => {
  const found: string[] = []
  for await (const path of glob('src/**/*.ts'))
    if (/\bDate\.now\b|new Date\(\)/.test(await readFile(path, 'utf8'))) found.push(path)
  expect(found.sort()).toEqual(Object.keys(datesWanted).sort())
})
