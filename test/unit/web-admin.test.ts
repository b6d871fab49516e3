import { expect, test } from 'vitest'
import type { HistoryPoint, LogLine } from '../../src/admin/schema.ts'
import type { EgressItem } from '../../src/client.ts'
import { toCsv } from '../../web/admin/csv.ts'
import { collectCsv, mostLines } from '../../web/admin/egress/egress-csv.ts'
import { filledOf } from '../../web/admin/filters.ts'
import { createLogWindow, holds } from '../../web/admin/logs/log-window.ts'
import { bridgeGaps, historyCharts, isAlone, isBlank, lastAndMost } from '../../web/admin/overview/series.ts'
import { trainingChart } from '../../web/admin/overview/training-series.ts'
import { between, fromLocalField, periodOf, rangePath, readRange, toLocalField } from '../../web/admin/range.ts'
import { fromFields, toFields } from '../../web/admin/users/quota.ts'

const noon = Date.UTC(2026, 2, 1, 12)

test('a range by its name ends now, and one between two times stays', () => {
  expect(periodOf({ span: 'sixHours' }, noon)).toEqual({ from: '2026-03-01T06:00:00.000Z', to: '2026-03-01T12:00:00.000Z' })
  const own = { from: '2026-02-01T00:00:00.000Z', to: '2026-02-02T00:00:00.000Z' }
  expect(periodOf(own, noon)).toBe(own)
})

test('an address says a range, and what is none says nothing', () => {
  const own = { from: '2026-02-01T00:00:00.000Z', to: '2026-02-02T00:00:00.000Z' }
  for (const range of [{ span: 'week' }, own] as const) expect(readRange(rangePath(range))).toEqual(range)
  expect(readRange([])).toBeUndefined()
  expect(readRange(['century'])).toBeUndefined()
  expect(readRange(['toString'])).toBeUndefined()
  expect(readRange(['2026-02-02', '2026-02-01'])).toBeUndefined()
  expect(between('never', '2026-02-01')).toBeUndefined()
})

test('a time survives its field', () => {
  expect(fromLocalField(toLocalField('2026-03-01T12:34:00.000Z'))).toBe('2026-03-01T12:34:00.000Z')
  expect(fromLocalField('')).toBeUndefined()
})

test('only filled fields filter, and times are sent with their zone', () => {
  expect(filledOf({ user: ' ana ', host: '', from: '', to: toLocalField('2026-03-01T12:34:00.000Z') })).toEqual({
    user: 'ana',
    to: '2026-03-01T12:34:00.000Z',
  })
})

test('CSV quotes what must be quoted, and holds no formula', () => {
  expect(
    toCsv([
      ['a', 'b,"c"', 'd\ne'],
      ['=1+1', '@x', '-5', -5, null, true],
    ]),
  ).toBe('a,"b,""c""","d\ne"\r\n\'=1+1,\'@x,\'-5,-5,,true\r\n')
})

const quietPoint: HistoryPoint = {
  at: '2026-03-01T12:00:00.000Z',
  seconds: 60,
  requests: 0,
  status_2xx: 0,
  status_4xx: 0,
  status_499: 0,
  status_5xx: 0,
  latency_p50_ms: null,
  latency_p95_ms: null,
  first_token_p50_ms: null,
  first_token_p95_ms: null,
  answers: 0,
  failed_answers: 0,
  prompt_tokens: 0,
  completion_tokens: 0,
  tokens_per_second: null,
  cache_hits: 0,
  cache_misses: 0,
  active: null,
  queued: null,
  service_bytes: null,
  engine_bytes: null,
  feedback_up: 0,
  feedback_down: 0,
  feedback_text: 0,
}

test('a point of the history becomes one of each chart', () => {
  const charts = historyCharts([
    quietPoint,
    { ...quietPoint, status_2xx: 3, status_499: 1, latency_p50_ms: 12, latency_p95_ms: 80, cache_hits: 1, cache_misses: 3 },
  ])
  const valuesOf = (title: string) => charts.find((chart) => chart.title === title)?.series.map(({ values }) => values)
  expect(valuesOf('requests')).toEqual([
    [0, 3],
    [0, 0],
    [0, 1],
    [0, 0],
  ])
  expect(valuesOf('latency')).toEqual([
    [null, 12],
    [null, 80],
  ])
  // Where nothing was asked there is no rate, and not one of 0.
  expect(valuesOf('cache')).toEqual([[null, 0.25]])
  expect(charts.filter((chart) => !isBlank(chart)).map(({ title }) => title)).toEqual(['requests', 'latency', 'cache'])
})

test('the last number that is known and the greatest tell a series in words', () => {
  expect(lastAndMost([1, null, 5, 2, null])).toEqual({ last: 2, most: 5 })
  expect(lastAndMost([null, null])).toBeUndefined()
})

test('a point between two gaps is alone, and so is the only one', () => {
  expect([0, 1, 2, 3, 4].map((index) => isAlone([1, null, 5, 2, null], index))).toEqual([true, false, false, false, false])
  expect(isAlone([7], 0)).toBe(true)
})

test('a line goes on over a short gap, and breaks off at a long one', () => {
  expect(bridgeGaps([null, 3, null, null, 1, null, null, null, 2, null], 2)).toEqual([
    null,
    3,
    1,
    1,
    1,
    null,
    null,
    null,
    2,
    null,
  ])
  const loadOf = (seconds: number) => historyCharts([{ ...quietPoint, seconds }]).find(({ title }) => title === 'load')?.series[0]
  expect(loadOf(60)?.bridged).toBe(4)
  expect(loadOf(300)?.bridged).toBeUndefined()
})

test('the loss of training and of what is held out share the axis of steps', () => {
  const step = (number: number, loss: number) => ({
    step: number,
    epoch: 1,
    loss,
    learning_rate: 1,
    gradient_norm: 1,
    tokens: 1,
    ms: 1,
  })
  const epoch = { epoch: 1, step: 3, train_loss: 1, held_out_loss: 1.5, preference_accuracy: null }
  const { steps, data } = trainingChart({ steps: [step(1, 3), step(2, 2)], epochs: [epoch] })
  expect(steps).toEqual([1, 2, 3])
  expect(data.series.map(({ values }) => values)).toEqual([
    [3, 2, null],
    [null, null, 1.5],
  ])
  expect(isBlank(trainingChart(undefined).data)).toBe(true)
})

test('a limit of a quota is its number, 0 for none, and an empty field for what is set for all', () => {
  const quota = { requests_per_day: 100, tokens_per_day: 0, cost_per_day_usd: null }
  expect(toFields(quota)).toEqual({ requests: '100', tokens: '0', cost: '' })
  expect(fromFields({ requests: '100', tokens: ' 0 ', cost: '' })).toEqual(quota)
  expect(fromFields({ requests: '', tokens: '', cost: '0.5' })).toEqual({
    requests_per_day: null,
    tokens_per_day: null,
    cost_per_day_usd: 0.5,
  })
})

const line = (number: number): LogLine => ({
  at: new Date(noon + number).toISOString(),
  level: 'info',
  message: `line ${number}`,
  fields: { status: 200, route: '/predict', what: 'two words' },
})
const messagesOf = (window: ReturnType<typeof createLogWindow>) => window.lines().map((shown) => shown.line.message)

test('the log holds the last lines, and each once when its stream begins anew', () => {
  const window = createLogWindow(3)
  expect(window.add([line(1), line(2), line(3), line(4)])).toBe(4)
  expect(messagesOf(window)).toEqual(['line 2', 'line 3', 'line 4'])
  window.restart()
  expect(window.add([line(2), line(3), line(4), line(5)])).toBe(1)
  expect(messagesOf(window)).toEqual(['line 3', 'line 4', 'line 5'])
})

test('lines that were cleared do not come back', () => {
  const window = createLogWindow()
  window.add([line(1), line(2)])
  window.clear()
  window.restart()
  window.add([line(1), line(2), line(3)])
  expect(messagesOf(window)).toEqual(['line 3'])
})

test('a search finds what a line says and what else it holds', () => {
  const window = createLogWindow()
  window.add([line(1)])
  const [shown] = window.lines()
  expect(shown?.rest).toBe('status=200 route=/predict what="two words"')
  for (const wanted of ['LINE 1', ' /predict ', 'status=200'])
    expect(shown !== undefined && holds(shown, wanted), wanted).toBe(true)
  expect(shown !== undefined && holds(shown, 'line 2')).toBe(false)
})

const errand = (id: number): EgressItem => ({
  id: String(id),
  started_at: '2026-03-01T12:00:00.000Z',
  state: 'ended',
  purpose: 'answer',
  user: null,
  username: '=cmd()',
  provider: 'openai',
  model: 'm',
  hosts: ['a.example', 'b.example'],
  requests: 1,
  status: 200,
  bytes_out: 1,
  bytes_in: 2,
  prompt_tokens: 3,
  completion_tokens: 4,
  cached_prompt_tokens: null,
  cost_microdollars: null,
  duration_ms: 5,
})

test('the ledger as CSV holds all pages, up to its bound', async () => {
  const pages = [
    { items: [errand(1)], next_cursor: 'more' },
    { items: [errand(2)], next_cursor: null },
  ]
  const asked: (string | undefined)[] = []
  const told: number[] = []
  const { csv, isCut } = await collectCsv(
    async (cursor) => {
      asked.push(cursor)
      return pages[asked.length - 1] ?? { items: [], next_cursor: null }
    },
    (count) => told.push(count),
  )
  expect(asked).toEqual([undefined, 'more'])
  expect(told).toEqual([1, 2])
  expect(isCut).toBe(false)
  expect(csv.split('\r\n')[1]).toBe(
    "2026-03-01T12:00:00.000Z,ended,answer,,'=cmd(),openai,m,a.example b.example,1,200,1,2,3,4,,5",
  )
  const endless = { items: Array.from({ length: 200 }, (_, index) => errand(index)), next_cursor: 'more' }
  const cut = await collectCsv(
    async () => endless,
    () => {},
  )
  expect(cut.isCut).toBe(true)
  expect(cut.csv.split('\r\n')).toHaveLength(mostLines + 2)
})
