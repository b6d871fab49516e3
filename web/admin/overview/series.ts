import type { HistoryPoint } from '../../../src/admin/schema.ts'
import type { TextName } from './texts.ts'

/** What the numbers of a chart count. */
export type Unit = 'count' | 'milliseconds' | 'rate' | 'share' | 'bytes' | 'loss'

export type Series = Readonly<{
  name: TextName
  /** null: nothing is known, which leaves a gap. */
  values: ReadonlyArray<number | null>
  /** Number of its colour. */
  color: number
  isDashed?: boolean
  /** A line goes on over so many points of which nothing is known. */
  bridged?: number
}>

/** `bars` stand on each other; `lines` beside. */
export type ChartData = Readonly<{ title: TextName; kind: 'bars' | 'lines'; unit: Unit; series: readonly Series[] }>

const colors = { good: 0, warm: 1, violet: 2, bad: 3, olive: 4, blue: 5 } as const

type Line = readonly [name: TextName, color: number, value: (point: HistoryPoint) => number | null]
type Plan = Readonly<{
  title: TextName
  kind: ChartData['kind']
  unit: Unit
  lines: readonly Line[]
  /** Looked at now and then, while nothing happens. */
  isSampled?: boolean
}>

/** How often the service keeps what it looks at while nothing happens. */
const quietSeconds = 300

const plans: readonly Plan[] = [
  {
    title: 'requests',
    kind: 'bars',
    unit: 'count',
    lines: [
      ['status2xx', colors.good, (point) => point.status_2xx],
      ['status4xx', colors.warm, (point) => point.status_4xx],
      ['status499', colors.blue, (point) => point.status_499],
      ['status5xx', colors.bad, (point) => point.status_5xx],
    ],
  },
  {
    title: 'latency',
    kind: 'lines',
    unit: 'milliseconds',
    lines: [
      ['p50', colors.good, (point) => point.latency_p50_ms],
      ['p95', colors.warm, (point) => point.latency_p95_ms],
    ],
  },
  {
    title: 'firstToken',
    kind: 'lines',
    unit: 'milliseconds',
    lines: [
      ['p50', colors.good, (point) => point.first_token_p50_ms],
      ['p95', colors.warm, (point) => point.first_token_p95_ms],
    ],
  },
  { title: 'tokenRate', kind: 'lines', unit: 'rate', lines: [['perAnswer', colors.good, (point) => point.tokens_per_second]] },
  {
    title: 'tokens',
    kind: 'bars',
    unit: 'count',
    lines: [
      ['promptTokens', colors.blue, (point) => point.prompt_tokens],
      ['completionTokens', colors.good, (point) => point.completion_tokens],
    ],
  },
  {
    title: 'answers',
    kind: 'bars',
    unit: 'count',
    lines: [
      ['answersDone', colors.good, (point) => point.answers],
      ['answersFailed', colors.bad, (point) => point.failed_answers],
    ],
  },
  { title: 'cache', kind: 'lines', unit: 'share', lines: [['cacheHits', colors.violet, hitRate]] },
  {
    title: 'load',
    kind: 'lines',
    isSampled: true,
    unit: 'count',
    lines: [
      ['activeMost', colors.good, (point) => point.active],
      ['queuedMost', colors.warm, (point) => point.queued],
    ],
  },
  {
    title: 'memory',
    kind: 'lines',
    isSampled: true,
    unit: 'bytes',
    lines: [
      ['engineBytes', colors.violet, (point) => point.engine_bytes],
      ['serviceBytes', colors.blue, (point) => point.service_bytes],
    ],
  },
  {
    title: 'feedback',
    kind: 'bars',
    unit: 'count',
    lines: [
      ['up', colors.good, (point) => point.feedback_up],
      ['down', colors.bad, (point) => point.feedback_down],
      ['textOnly', colors.blue, (point) => point.feedback_text],
    ],
  },
]

function hitRate({ cache_hits: hits, cache_misses: misses }: HistoryPoint): number | null {
  return hits + misses === 0 ? null : hits / (hits + misses)
}

/** All charts of a stretch of time. The second line of a chart is dashed, so that colours are not all that tells them apart. */
export function historyCharts(points: readonly HistoryPoint[]): readonly ChartData[] {
  const bridged = Math.ceil(quietSeconds / (points[0]?.seconds ?? quietSeconds)) - 1
  return plans.map(({ title, kind, unit, lines, isSampled = false }) => ({
    title,
    kind,
    unit,
    series: lines.map(([name, color, value], index) => ({
      name,
      color,
      values: points.map(value),
      ...(kind === 'lines' && index > 0 ? { isDashed: true } : {}),
      ...(isSampled && bridged > 0 ? { bridged } : {}),
    })),
  }))
}

/** Whether there is anything to draw. */
export function isBlank({ series, kind }: Pick<ChartData, 'series' | 'kind'>): boolean {
  return series.every(({ values }) => values.every((value) => value === null || (kind === 'bars' && value === 0)))
}

/** The last number that is known and the greatest; undefined where none is. */
export function lastAndMost(values: Series['values']): Readonly<{ last: number; most: number }> | undefined {
  const known = values.filter((value) => value !== null)
  const last = known.at(-1)
  return last === undefined ? undefined : { last, most: known.reduce((most, value) => Math.max(most, value), last) }
}

/** Gaps of at most so many points between two that are known, filled with the lesser of both: for the eye, not for the record. */
export function bridgeGaps(values: Series['values'], most: number): ReadonlyArray<number | null> {
  let before: number | undefined
  return values.map((value, index) => {
    before = value === null ? before : index
    if (value !== null || before === undefined) return value
    const after = values.findIndex((later, at) => at > index && later !== null)
    const [start, end] = [values[before] ?? null, values[after] ?? null]
    return start === null || end === null || after - before - 1 > most ? null : Math.min(start, end)
  })
}

/** A point between two gaps, which a line without dots would not show. */
export function isAlone(values: Series['values'], index: number): boolean {
  const isKnown = (at: number) => (values[at] ?? null) !== null
  return isKnown(index) && !isKnown(index - 1) && !isKnown(index + 1)
}
