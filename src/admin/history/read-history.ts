import { sql } from 'kysely'
import type { Database } from '../../storage/tables.ts'
import type { HistoryAnswer, HistoryPoint } from '../schema.ts'
import { quantile } from './histogram.ts'
import type { Grid } from './history-grid.ts'
import { hourMs, readStretches } from './history-rows.ts'
import type { Minute } from './running-minute.ts'
import { addTally, emptyTally, type ModelTally, parseModelKey, type Tally } from './tally.ts'

type Ratings = { up: number; down: number; text: number }
type Stretch = { tally: Tally | undefined; feedback: Ratings }

/** What went on in each stretch of a grid; `unwritten`: minutes that are not in the database. Nothing may write history meanwhile. */
export async function readHistory(db: Database, unwritten: readonly Minute[], grid: Grid): Promise<HistoryAnswer> {
  const { fromMs, toMs, stepMs, count } = grid
  const stretches = Array.from({ length: count }, (): Stretch => ({ tally: undefined, feedback: { up: 0, down: 0, text: 0 } }))
  const at = (ms: number) => stretches[Math.floor((ms - fromMs) / stepMs)]
  const add = ({ startMs, tally }: Minute) => {
    const stretch = startMs >= fromMs && startMs < toMs ? at(startMs) : undefined
    if (stretch === undefined) return
    stretch.tally ??= emptyTally()
    addTally(stretch.tally, tally)
  }
  for await (const stretch of readStretches(db, { fromMs, toMs })) add(stretch)
  for (const minute of unwritten) add(minute)
  for (const { ms, rating, count: ratings } of await countFeedback(db, grid)) {
    const stretch = at(ms)
    if (stretch !== undefined) stretch.feedback[rating ?? 'text'] += ratings
  }
  const total = emptyTally()
  for (const { tally } of stretches) if (tally !== undefined) addTally(total, tally)
  return {
    from: new Date(fromMs).toISOString(),
    to: new Date(toMs).toISOString(),
    step_seconds: stepMs / 1000,
    points: stretches.map((stretch, index) => toPoint(stretch, fromMs + index * stepMs, grid)),
    models: toModels(total),
  }
}

/** By minute or hour, whichever the grid is made of. */
async function countFeedback(db: Database, { fromMs, toMs, stepMs }: Grid) {
  const isByHour = stepMs % hourMs === 0
  const stretch = isByHour ? sql<string>`substr(created_at, 1, 13)` : sql<string>`substr(created_at, 1, 16)`
  const rows = await db
    .selectFrom('feedback')
    .select(({ fn }) => [stretch.as('stretch'), 'rating', fn.countAll<number>().as('count')])
    .where('createdAt', '>=', new Date(fromMs).toISOString())
    .where('createdAt', '<', new Date(toMs).toISOString())
    .groupBy([stretch, 'rating'])
    .execute()
  return rows.map((row) => {
    return { ms: Date.parse(`${row.stretch}${isByHour ? ':00' : ''}:00Z`), rating: row.rating, count: Number(row.count) }
  })
}

function toPoint({ tally = emptyTally(), feedback }: Stretch, startMs: number, { stepMs, toMs }: Grid): HistoryPoint {
  const { requests, gauges } = tally
  const models = [...tally.models.values()]
  const sum = (pick: (model: ModelTally) => number) => models.reduce((total, model) => total + pick(model), 0)
  return {
    at: new Date(startMs).toISOString(),
    seconds: Math.max(1, Math.round((Math.min(startMs + stepMs, toMs) - startMs) / 1000)),
    requests: requests['2xx'] + requests['4xx'] + requests['499'] + requests['5xx'],
    status_2xx: requests['2xx'],
    status_4xx: requests['4xx'],
    status_499: requests['499'],
    status_5xx: requests['5xx'],
    latency_p50_ms: msOrNull(quantile(tally.latency, 0.5)),
    latency_p95_ms: msOrNull(quantile(tally.latency, 0.95)),
    first_token_p50_ms: msOrNull(quantile(tally.firstToken, 0.5)),
    first_token_p95_ms: msOrNull(quantile(tally.firstToken, 0.95)),
    answers: sum(({ answers }) => answers),
    failed_answers: tally.failed,
    prompt_tokens: sum(({ promptTokens }) => promptTokens),
    completion_tokens: sum(({ completionTokens }) => completionTokens),
    tokens_per_second: speedOf(
      sum(({ timedTokens }) => timedTokens),
      sum(({ timedMs }) => timedMs),
    ),
    cache_hits: tally.cacheHits,
    cache_misses: tally.cacheMisses,
    active: gauges?.active ?? null,
    queued: gauges?.queued ?? null,
    service_bytes: gauges?.serviceBytes ?? null,
    engine_bytes: gauges?.engineBytes ?? null,
    feedback_up: feedback.up,
    feedback_down: feedback.down,
    feedback_text: feedback.text,
  }
}

function toModels({ models }: Tally): HistoryAnswer['models'] {
  return [...models]
    .map(([key, { answers, completionTokens, timedTokens, timedMs }]) => {
      const { provider, model } = parseModelKey(key)
      const speed = speedOf(timedTokens, timedMs)
      return { provider, model, answers, completion_tokens: completionTokens, tokens_per_second: speed }
    })
    .sort((one, other) => other.answers - one.answers)
}

const oneDigit = (value: number) => Math.round(value * 10) / 10
const msOrNull = (ms: number | undefined) => (ms === undefined ? null : oneDigit(ms))
const speedOf = (tokens: number, ms: number) => (ms === 0 ? null : oneDigit((tokens / ms) * 1000))
