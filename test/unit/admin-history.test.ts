import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, onTestFinished, test } from 'vitest'
import { count, emptyHistogram, packHistogram, quantile, unpackHistogram } from '../../src/admin/history/histogram.ts'
import { readGrid } from '../../src/admin/history/history-grid.ts'
import { rollUp, saveMinutes } from '../../src/admin/history/history-rows.ts'
import { keepHistory, sampleMs } from '../../src/admin/history/keep-history.ts'
import { createRunningMinute } from '../../src/admin/history/running-minute.ts'
import type { HistoryPoint, HistoryQuery } from '../../src/admin/schema.ts'
import { openStorage } from '../../src/storage/open-storage.ts'
import { createFakeClock } from '../fake-clock.ts'
import { databaseAt } from '../postgres/database-at.ts'
import { refuseWrites } from '../refuse-writes.ts'
import { noTimings } from '../scripted-host.ts'

const target = { provider: 'hf', model: 'small', ranOn: 'local' } as const

const startMs = Date.UTC(2026, 0, 10, 12)
const secondMs = 1000
const minuteMs = 60 * secondMs
const hourMs = 60 * minuteMs
const dayMs = 24 * hourMs

/** A database and a keeper of history, on a clock that goes when it is told to. */
async function openWorld() {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-history-'))
  const clock = createFakeClock()
  clock.advance(5 * secondMs)
  let skipped = 0
  const now = () => startMs + skipped + clock.now()
  const storage = await openStorage({ url: await databaseAt(join(folder, 'simpleia.db')), now })
  const engine = { active: 0, queued: 0, residentBytes: 1000 }
  const logged: string[] = []
  let failures = 0
  let pruned = 0
  const start = () => {
    const running = createRunningMinute({ now, engine: () => engine, serviceBytes: () => 500 })
    const keeper = keepHistory({
      ...{ db: storage.db, running, clock, now },
      log: { error: (_fields, message) => void logged.push(message) },
      onFailure: () => {
        failures += 1
      },
      pruneMore: async () => {
        pruned += 1
      },
    })
    return { running, keeper }
  }
  const service = { ...start() }
  onTestFinished(async () => {
    await service.keeper.close()
    await storage.close()
    await rm(folder, { recursive: true })
  })
  const read = (query: Partial<HistoryQuery> = {}) => service.keeper.read(readGrid({ points: 120, ...query }, now()))
  return {
    ...{ db: storage.db, clock, engine, logged, now, read },
    failures: () => failures,
    pruned: () => pruned,
    running: () => service.running,
    /** The service stands still for so long, as when a machine sleeps. */
    sleep(ms: number) {
      skipped += ms
    },
    /** Time goes on, with everything that happens meanwhile. */
    async pass(ms: number) {
      for (let left = ms; left > 0; left -= sampleMs) {
        clock.advance(Math.min(left, sampleMs))
        await read()
      }
    },
    async restart() {
      await service.keeper.close()
      Object.assign(service, start())
    },
    answer(tokens: number, { model = 'small', seconds = 1 } = {}) {
      const timings = { ...noTimings, generationMs: seconds * 1000, tokensPerSecond: tokens / seconds }
      const usage = { promptTokens: 10, completionTokens: tokens, cachedPromptTokens: 0 }
      service.running.told.generationEnd(usage, { provider: 'hf', model, ranOn: 'local', timings, choices: 1, seconds })
    },
    rows: () => storage.db.selectFrom('history').selectAll().orderBy('startedAt').execute(),
  }
}

/** The points in which something happened. */
const busy = (points: readonly HistoryPoint[]) => points.filter(({ requests, answers }) => requests + answers > 0)

describe('percentiles', () => {
  test('lie in the bucket of the value that a sorted list has there, whatever the durations are', () => {
    const durations = fc.array(fc.double({ min: 0, max: 2 ** 20, noNaN: true }), { minLength: 1, maxLength: 300 })
    fc.assert(
      fc.property(durations, fc.constantFrom(0.01, 0.5, 0.95, 0.99, 1), (list, share) => {
        const histogram = emptyHistogram()
        for (const ms of list) count(histogram, ms)
        const exact = list.toSorted((a, b) => a - b)[Math.max(1, Math.ceil(share * list.length)) - 1] ?? Number.NaN
        const read = quantile(histogram, share) ?? Number.NaN
        expect(Math.abs(read - exact)).toBeLessThanOrEqual(Math.max(1, 0.19 * exact))
      }),
    )
  })

  test('of nothing are not known, and of what takes for ever are the longest that is told', () => {
    const histogram = emptyHistogram()
    expect(quantile(histogram, 0.5)).toBeUndefined()
    count(histogram, Number.POSITIVE_INFINITY)
    expect(quantile(histogram, 0.5)).toBeLessThanOrEqual(2 ** 20)
  })

  test('are the same of what was stored', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 5 }), { minLength: 81, maxLength: 81 }), (histogram) => {
        expect(unpackHistogram(packHistogram(histogram))).toEqual(histogram)
      }),
    )
  })
})

describe('the history of two processes', () => {
  const partOf = (world: Awaited<ReturnType<typeof openWorld>>) =>
    createRunningMinute({ now: world.now, engine: () => world.engine, serviceBytes: () => 500 })

  test('adds up what both have counted, and what both had in memory at a time', async () => {
    const world = await openWorld()
    const other = partOf(world)
    for (const running of [world.running(), other]) {
      running.requestEnd(200, 10)
      running.sample()
    }
    world.clock.advance(5 * secondMs)
    for (const running of [world.running(), other]) running.sample()
    await world.pass(minuteMs)
    await saveMinutes(world.db, other.takeOver())
    const told = async () => busy((await world.read()).points).map(({ requests, service_bytes }) => [requests, service_bytes])
    expect(await told()).toEqual([[2, 1000]])
  })

  test('takes the most of both in memory where one came after the other, and is the same when it is added up to hours', async () => {
    const world = await openWorld()
    world.running().requestEnd(200, 10)
    world.running().sample()
    world.running().end()
    await saveMinutes(world.db, world.running().takeOver())
    world.clock.advance(5 * secondMs)
    const later = partOf(world)
    later.requestEnd(200, 10)
    later.sample()
    later.end()
    await saveMinutes(world.db, later.takeOver())
    const [point] = busy((await world.read()).points)
    expect(point).toMatchObject({ requests: 2, service_bytes: 500 })
    expect(await rollUp(world.db, startMs + 4 * dayMs)).toBe(1)
    expect((await world.rows()).map(({ tally }) => JSON.parse(tally).gauges.serviceBytes)).toEqual([500])
  })
})

describe('the history', () => {
  test('tells the minute that runs, and after it what is written of it', async () => {
    const world = await openWorld()
    const { running, answer, read, pass } = world
    running().requestEnd(200, 10)
    running().requestEnd(404, 20)
    running().requestEnd(499, undefined)
    running().requestEnd(503, 40)
    running().requestEnd(101, undefined)
    running().told.firstToken(0.25, target)
    running().told.cacheMiss()
    running().told.cacheHit()
    running().told.generationFailed('busy', target)
    running().told.generationFailed('aborted', target)
    answer(30, { seconds: 2 })
    answer(10, { seconds: 2, model: 'a/b' })
    const expected = {
      at: '2026-01-10T12:00:00.000Z',
      requests: 5,
      ...{ status_2xx: 2, status_4xx: 1, status_499: 1, status_5xx: 1 },
      ...{ answers: 2, failed_answers: 1, prompt_tokens: 20, completion_tokens: 40, tokens_per_second: 10 },
      ...{ cache_hits: 1, cache_misses: 1, active: 0, queued: 0, service_bytes: 500, engine_bytes: 1000 },
    }
    const first = await read()
    expect(busy(first.points)).toEqual([expect.objectContaining(expected)])
    const { latency_p50_ms: p50, latency_p95_ms: p95, first_token_p50_ms: firstToken } = busy(first.points)[0] ?? {}
    expect(p50).toBeCloseTo(20, -1)
    expect(p95).toBeCloseTo(40, -1)
    expect(firstToken).toBeGreaterThan(200)
    expect(await world.rows()).toEqual([])
    await pass(minuteMs + sampleMs)
    expect(await world.rows()).toMatchObject([{ startedAt: expected.at, seconds: 60 }])
    const second = await read()
    expect(busy(second.points)).toEqual([{ ...busy(first.points)[0], seconds: 60 }])
    expect(second.models).toEqual([
      { provider: 'hf', model: 'small', answers: 1, completion_tokens: 30, tokens_per_second: 15 },
      { provider: 'hf', model: 'a/b', answers: 1, completion_tokens: 10, tokens_per_second: 5 },
    ])
  })

  test('survives a new start, also what was not written yet, in one minute', async () => {
    const world = await openWorld()
    world.answer(1)
    await world.restart()
    world.answer(2)
    world.running().requestEnd(200, 5)
    await world.restart()
    const { points } = await world.read()
    expect(busy(points)).toEqual([expect.objectContaining({ answers: 2, completion_tokens: 3, requests: 1 })])
    expect(await world.rows()).toHaveLength(2)
  })

  test('has the most that was at work and in memory, also between two samples', async () => {
    const world = await openWorld()
    Object.assign(world.engine, { active: 3, queued: 2, residentBytes: 9000 })
    world.running().told.firstToken(1, target)
    Object.assign(world.engine, { active: 0, queued: 0, residentBytes: 1000 })
    await world.pass(2 * minuteMs)
    const { points } = await world.read()
    expect(points.find(({ active }) => active === 3)).toMatchObject({ queued: 2, engine_bytes: 9000 })
  })

  test('keeps few rows where nothing happens', async () => {
    const world = await openWorld()
    await world.pass(30 * minuteMs)
    expect((await world.rows()).length).toBe(6)
    const { points } = await world.read()
    expect(points.filter(({ service_bytes: bytes }) => bytes !== null).length).toBeGreaterThanOrEqual(6)
  })

  test('is in coarser stretches where fewer points are wanted, and loses nothing by it', async () => {
    const world = await openWorld()
    for (let minute = 0; minute < 30; minute += 1) {
      world.running().requestEnd(200, 5)
      await world.pass(minuteMs)
    }
    for (const points of [2, 7, 30, 60, 1000]) {
      const answer = await world.read({ points })
      expect(answer.points.length).toBeLessThanOrEqual(points)
      expect(answer.points.reduce((sum, { requests }) => sum + requests, 0)).toBe(30)
      expect(answer.points.map(({ at }) => Date.parse(at))).toEqual(
        answer.points.map((_, index) => Date.parse(answer.from) + index * answer.step_seconds * 1000),
      )
    }
  })

  test('counts feedback where it was given', async () => {
    const world = await openWorld()
    const give = (id: string, ms: number, rating: 'up' | 'down' | null) =>
      world.db
        .insertInto('feedback')
        .values({
          ...{ id, userId: null, predictionId: null, rejectedPredictionId: null, correction: null, tags: '[]' },
          ...{ rating, text: 'x', createdAt: new Date(startMs - ms).toISOString() },
        })
        .execute()
    await give('1', 5 * minuteMs, 'up')
    await give('2', 5 * minuteMs - secondMs, 'up')
    await give('3', 30 * minuteMs, 'down')
    await give('4', 30 * minuteMs, null)
    await give('5', 3 * dayMs, 'down')
    const sum = (points: readonly HistoryPoint[]) =>
      (['feedback_up', 'feedback_down', 'feedback_text'] as const).map((name) =>
        points.reduce((total, point) => total + point[name], 0),
      )
    const minutes = await world.read()
    expect(minutes.points.find(({ at }) => at === '2026-01-10T11:55:00.000Z')).toMatchObject({ feedback_up: 2 })
    expect(sum(minutes.points)).toEqual([2, 1, 1])
    expect(sum((await world.read({ from: '2026-01-01' })).points)).toEqual([2, 2, 1])
  })
})

describe('what is old', () => {
  test('is added up to hours whose sums are the same, and goes after a year', async () => {
    const world = await openWorld()
    for (let minute = 0; minute < 90; minute += 1) {
      world.answer(minute)
      world.running().requestEnd(minute % 3 === 0 ? 500 : 200, minute)
      world.clock.advance(minuteMs)
      await world.read()
    }
    await world.pass(sampleMs)
    expect(await world.rows()).toHaveLength(90)
    const from = new Date(startMs).toISOString()
    const to = new Date(startMs + 2 * hourMs).toISOString()
    const before = await world.read({ from, to, points: 2 })
    world.sleep(48 * hourMs)
    await world.pass(sampleMs)
    // One of the two hours is not old enough as a whole.
    const kept = (await world.rows())
      .filter(({ startedAt }) => startedAt < to)
      .map(({ startedAt, seconds }) => [startedAt, seconds])
    expect(kept[0]).toEqual([from, 3600])
    expect(kept[1]).toEqual(['2026-01-10T13:00:00.000Z', 60])
    world.sleep(2 * hourMs)
    await world.pass(2 * sampleMs)
    const rows = (await world.rows()).filter(({ startedAt }) => startedAt < to)
    expect(rows).toMatchObject([
      { startedAt: from, seconds: 3600 },
      { startedAt: '2026-01-10T13:00:00.000Z', seconds: 3600 },
    ])
    const after = await world.read({ from, to, points: 120 })
    expect(after.step_seconds).toBe(3600)
    expect(after.points.map(({ seconds: _, ...point }) => point)).toEqual(before.points.map(({ seconds: _, ...point }) => point))
    expect(after.models).toEqual(before.models)
    world.sleep(366 * dayMs)
    await world.pass(2 * sampleMs)
    expect((await world.rows()).filter(({ startedAt }) => startedAt < to)).toEqual([])
    expect(world.pruned()).toBeGreaterThan(1)
  })
})

describe('a database that cannot be written to', () => {
  test('is told, counted and tried again; the minutes are there all the while', async () => {
    const world = await openWorld()
    const allow = await refuseWrites(world.db, { table: 'history' })
    world.answer(7)
    await world.pass(3 * minuteMs)
    expect(world.failures()).toBeGreaterThan(1)
    expect(world.logged[0]).toBe('The history could not be written')
    expect(busy((await world.read()).points)).toMatchObject([{ completion_tokens: 7 }])
    await allow()
    await world.pass(2 * sampleMs)
    expect((await world.rows())[0]).toMatchObject({ startedAt: '2026-01-10T12:00:00.000Z' })
    expect(busy((await world.read()).points)).toMatchObject([{ completion_tokens: 7 }])
  })
})

describe('the stretches', () => {
  const nowMs = startMs + 12 * minuteMs + 34 * secondMs

  test('are minutes of the last hour where nothing is said', () => {
    expect(readGrid({ points: 120 }, nowMs)).toEqual({
      fromMs: startMs - 48 * minuteMs,
      toMs: nowMs,
      stepMs: minuteMs,
      count: 61,
    })
  })

  test('are never more than wanted, begin before what is wanted and end with it, whatever that is', () => {
    const times = fc.date({ min: new Date(0), max: new Date(nowMs - 1), noInvalidDate: true })
    fc.assert(
      fc.property(times, times, fc.integer({ min: 2, max: 1000 }), (one, other, points) => {
        fc.pre(one.getTime() !== other.getTime())
        const [from, to] = [one, other].sort((a, b) => a.getTime() - b.getTime())
        const grid = readGrid({ from: from?.toISOString() ?? '', to: to?.toISOString() ?? '', points }, nowMs)
        expect(grid.count).toBeLessThanOrEqual(points)
        expect(grid.fromMs).toBeLessThanOrEqual(from?.getTime() ?? 0)
        expect(grid.fromMs + grid.count * grid.stepMs).toBeGreaterThanOrEqual(to?.getTime() ?? 0)
        if (grid.fromMs < nowMs - 2 * dayMs - hourMs) expect(grid.stepMs % hourMs).toBe(0)
      }),
    )
  })

  test.each([
    [{ from: '2026-01-11' }, 'from'],
    [{ from: '2026-01-10T12:00:00Z', to: '2026-01-10T11:00:00Z' }, 'from'],
    [{ from: 'yesterday' }, 'from'],
    [{ to: '2026-13-01' }, 'to'],
  ])('%j are refused', (query, field) => {
    expect(() => readGrid({ points: 10, ...query }, nowMs)).toThrow(
      expect.objectContaining({ code: 'invalid', details: [expect.objectContaining({ field })] }),
    )
  })

  test('end with the hour or the minute in which they are to end: that is counted whole', () => {
    const old = { from: '2026-01-01T10:00:00Z', to: '2026-01-01T11:20:00Z' }
    expect(readGrid({ points: 10, ...old }, nowMs).toMs).toBe(Date.parse('2026-01-01T12:00:00Z'))
    const ago = (minutes: number) => new Date(nowMs - minutes * minuteMs).toISOString()
    const { toMs } = readGrid({ points: 10, from: ago(10), to: ago(5) }, nowMs)
    expect([toMs % minuteMs, toMs - Date.parse(ago(5))]).toEqual([0, 60_000 - (nowMs % minuteMs)])
  })

  test('do not go beyond now', () => {
    expect(readGrid({ points: 10, from: '2026-01-10', to: '9999-12-31' }, nowMs)).toMatchObject({ toMs: nowMs })
  })
})
