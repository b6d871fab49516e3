import { expect, test } from 'vitest'
import { openSimulatedService } from '../simulated-day.ts'

/** What grows by the day, and how long it is kept: usage by day, the history (minutes for two days, then hours for a year), the audit. */
const growing = { usage_days: 3, history: 600, audit: 50 } as const

/** Connections of the client that are kept for a while. */
const fewHandles = 5

test('a second day of mixed use leaves what the first one has left: memory, handles, timers, series and rows', async () => {
  await using service = await openSimulatedService()
  const first = await service.liveADay()
  const second = await service.liveADay()
  console.info(JSON.stringify({ first: first.holding, second: second.holding }))
  expect([...first.failures, ...second.failures]).toEqual([])
  expect(second.requests).toBe(first.requests)

  const { rows, heapBytes, fileHandles, ...counts } = second.holding
  expect(counts).toEqual({ timers: first.holding.timers, waits: first.holding.waits, metricSeries: first.holding.metricSeries })
  expect(heapBytes).toBeLessThan(first.holding.heapBytes * 1.05)
  expect(fileHandles).toBeLessThanOrEqual(first.holding.fileHandles + fewHandles)

  const most = Object.entries(growing).map(([name, byTheDay]) => [name, (first.holding.rows[name] ?? 0) + byTheDay] as const)
  for (const [name, count] of most) expect({ name, within: (rows[name] ?? 0) <= count }).toEqual({ name, within: true })
  expect(withoutGrowing(rows)).toEqual(withoutGrowing(first.holding.rows))
  expect(rows.predictions).toBeGreaterThan(100)
}, 120_000)

const withoutGrowing = (rows: Readonly<Record<string, number>>) =>
  Object.fromEntries(Object.entries(rows).filter(([name]) => !(name in growing)))
