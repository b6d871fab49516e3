import { addHistogram, emptyHistogram, type Histogram, packHistogram, unpackHistogram } from './histogram.ts'

export const statusClasses = ['2xx', '4xx', '499', '5xx'] as const
export type StatusClass = (typeof statusClasses)[number]

/** What a model has written. */
export type ModelTally = {
  answers: number
  promptTokens: number
  completionTokens: number
  /** Tokens between the first and the last of an answer, and how long those took: for the speed. */
  timedTokens: number
  timedMs: number
}

/** The most of each that was seen, and when the first and the last look were, where that is known. */
export type Gauges = Readonly<{
  active: number
  queued: number
  serviceBytes: number
  engineBytes: number
  fromMs?: number
  toMs?: number
}>

/** What went on in a stretch of time, so that two can be added up. */
export type Tally = {
  requests: Record<StatusClass, number>
  latency: Histogram
  firstToken: Histogram
  failed: number
  cacheHits: number
  cacheMisses: number
  /** By provider and model, see `modelKey`. */
  models: Map<string, ModelTally>
  gauges: Gauges | undefined
}

export const emptyTally = (): Tally => ({
  requests: { '2xx': 0, '4xx': 0, '499': 0, '5xx': 0 },
  latency: emptyHistogram(),
  firstToken: emptyHistogram(),
  failed: 0,
  cacheHits: 0,
  cacheMisses: 0,
  models: new Map(),
  gauges: undefined,
})

/** Of a provider, whose name has no slash, and its model. */
export const modelKey = (provider: string, model: string): string => `${provider}/${model}`

export function parseModelKey(key: string): Readonly<{ provider: string; model: string }> {
  const slash = key.indexOf('/')
  return { provider: key.slice(0, slash), model: key.slice(slash + 1) }
}

export function addModel(models: Tally['models'], key: string, more: Readonly<ModelTally>): void {
  const sum = models.get(key)
  if (sum === undefined) return void models.set(key, { ...more })
  sum.answers += more.answers
  sum.promptTokens += more.promptTokens
  sum.completionTokens += more.completionTokens
  sum.timedTokens += more.timedTokens
  sum.timedMs += more.timedMs
}

/** Of two times. */
export const mostOf = (one: Gauges | undefined, other: Gauges | undefined) => joined(one, other, Math.max)

/** Of two processes in the same minute: together where both were there at a time, as replicas are, and the most of both after a restart. */
export function bothOf(one: Gauges | undefined, other: Gauges | undefined): Gauges | undefined {
  if (one?.toMs === undefined || other?.toMs === undefined) return mostOf(one, other)
  const isOverlapping = (one.fromMs ?? 0) <= other.toMs && (other.fromMs ?? 0) <= one.toMs
  return isOverlapping ? joined(one, other, (a, b) => a + b) : mostOf(one, other)
}

function joined(one: Gauges | undefined, other: Gauges | undefined, join: (a: number, b: number) => number): Gauges | undefined {
  if (one === undefined || other === undefined) return one ?? other
  return {
    active: join(one.active, other.active),
    queued: join(one.queued, other.queued),
    serviceBytes: join(one.serviceBytes, other.serviceBytes),
    engineBytes: join(one.engineBytes, other.engineBytes),
    fromMs: Math.min(one.fromMs ?? Number.MAX_SAFE_INTEGER, other.fromMs ?? Number.MAX_SAFE_INTEGER),
    toMs: Math.max(one.toMs ?? 0, other.toMs ?? 0),
  }
}

export function addTally(to: Tally, from: Tally, joinGauges = mostOf): void {
  for (const status of statusClasses) to.requests[status] += from.requests[status]
  addHistogram(to.latency, from.latency)
  addHistogram(to.firstToken, from.firstToken)
  to.failed += from.failed
  to.cacheHits += from.cacheHits
  to.cacheMisses += from.cacheMisses
  for (const [key, more] of from.models) addModel(to.models, key, more)
  to.gauges = joinGauges(to.gauges, from.gauges)
}

type Stored = Omit<Tally, 'models' | 'gauges'> & Readonly<{ models: Record<string, ModelTally>; gauges: Gauges | null }>

export function writeTally(tally: Tally): string {
  const stored: Stored = {
    ...tally,
    latency: packHistogram(tally.latency),
    firstToken: packHistogram(tally.firstToken),
    models: Object.fromEntries(tally.models),
    gauges: tally.gauges ?? null,
  }
  return JSON.stringify(stored)
}

/** Of what `writeTally` has made. */
export function readTally(text: string): Tally {
  const stored: Stored = JSON.parse(text)
  return {
    ...stored,
    latency: unpackHistogram(stored.latency),
    firstToken: unpackHistogram(stored.firstToken),
    models: new Map(Object.entries(stored.models)),
    gauges: stored.gauges ?? undefined,
  }
}
