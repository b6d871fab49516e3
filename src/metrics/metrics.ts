import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { EgressEntry } from '../engine/cloud/egress.ts'
import type { EngineStatus } from '../engine/provider.ts'
import type { ErrorCode } from '../errors.ts'
import type { CacheStatistics } from '../predict/cache.ts'
import type { PredictMetrics } from '../predict/predict.ts'
import type { RedisNumbers } from '../redis/connection.ts'
import { registerRedis } from './redis-metrics.ts'
import { registerTraining, type TrainingNumbers } from './training-metrics.ts'

export type MetricsSources = Readonly<{ engine: () => EngineStatus; cache: () => CacheStatistics }>

export type RequestLabels = Readonly<{ method: string; route: string; status: number }>

export interface Metrics extends PredictMetrics {
  /** One answered (or abandoned) request. */
  requestEnd(labels: RequestLabels, seconds: number): void
  errorSent(code: ErrorCode): void
  /** One errand outside of this machine that has ended. */
  egressEnd(entry: EgressEntry): void
  /** Adds what training tells when somebody reads the metrics. */
  watchTraining(read: () => Promise<TrainingNumbers>): void
  /** Adds what the connection to Redis tells when somebody reads the metrics. */
  watchRedis(read: () => RedisNumbers): void
  /** What became of an answer that was to be remembered. */
  predictionRecorded(outcome: 'stored' | 'failed'): void
  /** A write of what is kept for admins has failed; it is tried again. */
  adminWriteFailed(what: 'history' | 'audit'): void
  /** The whole registry as Prometheus text. */
  text(): Promise<string>
  readonly contentType: string
  close(): Promise<void>
}

const requestSeconds = [0.005, 0.025, 0.1, 0.25, 1, 2.5, 5, 10, 30, 60, 120]
const firstTokenSeconds = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30]

/** Counts in a registry of its own. Each label has few possible values, whatever callers send. */
export function createMetrics({ engine, cache }: MetricsSources): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const requests = new Counter({
    name: 'simpleia_http_requests_total',
    help: 'Answered requests; status 499 is a caller who left.',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const durations = new Histogram({
    name: 'simpleia_http_request_duration_seconds',
    help: 'From the arrival of a request to the end of its answer.',
    labelNames: ['method', 'route'],
    buckets: requestSeconds,
    registers,
  })
  const generations = new Counter({
    name: 'simpleia_generations_total',
    help: 'Generations by how they ended: ok, or the code of the error.',
    labelNames: ['outcome'],
    registers,
  })
  const tokens = new Counter({
    name: 'simpleia_tokens_total',
    help: 'Tokens of prompts, of prompts that were in memory already, and of answers.',
    labelNames: ['kind'],
    registers,
  })
  const firstTokens = new Histogram({
    name: 'simpleia_time_to_first_token_seconds',
    help: 'From the arrival of a request at the engine to its first text.',
    buckets: firstTokenSeconds,
    registers,
  })
  const errors = new Counter({ name: 'simpleia_errors_total', help: 'Errors by code.', labelNames: ['code'], registers })
  const hits = new Counter({ name: 'simpleia_cache_hits_total', help: 'Answers from the cache.', registers })
  const misses = new Counter({
    name: 'simpleia_cache_misses_total',
    help: 'Cacheable requests that the cache could not answer.',
    registers,
  })
  const predictions = new Counter({
    name: 'simpleia_predictions_recorded_total',
    help: 'Answers that were to be remembered: stored, or failed.',
    labelNames: ['outcome'],
    registers,
  })
  const adminWrites = new Counter({
    name: 'simpleia_admin_writes_failed_total',
    help: 'Writes of the history or the audit that have failed.',
    labelNames: ['what'],
    registers,
  })
  const egressEnd = registerEgress(registry)
  registerState(registry, { engine, cache })
  const eventLoop = registerProcess(registry)

  return {
    requestEnd({ method, route, status }, seconds) {
      requests.inc({ method, route, status })
      durations.observe({ method, route }, seconds)
    },
    errorSent: (code) => errors.inc({ code }),
    egressEnd,
    adminWriteFailed: (what) => adminWrites.inc({ what }),
    predictionRecorded: (outcome) => predictions.inc({ outcome }),
    cacheHit: () => hits.inc(),
    cacheMiss: () => misses.inc(),
    firstToken: (seconds) => firstTokens.observe(seconds),
    generationEnd(usage) {
      generations.inc({ outcome: 'ok' })
      tokens.inc({ kind: 'prompt' }, usage.promptTokens)
      tokens.inc({ kind: 'prompt_cached' }, usage.cachedPromptTokens)
      tokens.inc({ kind: 'completion' }, usage.completionTokens)
    },
    generationFailed: (code) => generations.inc({ outcome: code }),
    watchTraining: (read) => registerTraining(registry, read),
    watchRedis: (read) => registerRedis(registry, read),
    text: () => registry.metrics(),
    contentType: registry.contentType,
    async close() {
      eventLoop.disable()
      registry.clear()
    },
  }
}

/** One label each, whatever a provider is called. */
const providers: ReadonlySet<string> = new Set(['claude', 'openai', 'custom'])

function registerEgress(registry: Registry): Metrics['egressEnd'] {
  const registers = [registry]
  const requests = new Counter({
    name: 'simpleia_egress_requests_total',
    help: 'Requests that left this machine; provider is "none" where no cloud model was asked.',
    labelNames: ['purpose', 'provider'],
    registers,
  })
  const bytes = new Counter({
    name: 'simpleia_egress_bytes_total',
    help: 'Bytes that left this machine (out) and came for them (in).',
    labelNames: ['direction', 'purpose'],
    registers,
  })
  const dollars = new Counter({
    name: 'simpleia_egress_cost_dollars_total',
    help: 'What cloud answers cost in US dollars, where their price is known.',
    labelNames: ['provider'],
    registers,
  })
  return ({ purpose, provider = 'none', requests: count, bytesOut, bytesIn, costMicrodollars }) => {
    const name = provider === 'none' || providers.has(provider) ? provider : 'other'
    requests.inc({ purpose, provider: name }, count)
    bytes.inc({ direction: 'out', purpose }, bytesOut)
    bytes.inc({ direction: 'in', purpose }, bytesIn)
    if (costMicrodollars !== undefined) dollars.inc({ provider: name }, costMicrodollars / 1e6)
  }
}

/** For what is counted elsewhere and only grows. */
function registerCounter(registry: Registry, name: string, help: string, read: () => number): void {
  new Counter({
    name,
    help,
    registers: [registry],
    collect() {
      this.reset()
      this.inc(read())
    },
  })
}

/** For a value that is looked up when somebody reads the metrics. */
function registerGauge(registry: Registry, name: string, help: string, value: () => number): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      this.set(value())
    },
  })
}

function registerState(registry: Registry, { engine, cache }: MetricsSources): void {
  registerGauge(registry, 'simpleia_generations_active', 'Answers being written now.', () => engine().active)
  registerGauge(registry, 'simpleia_generations_queued', 'Requests that wait for a place.', () => engine().queued)
  registerGauge(registry, 'simpleia_engine_ready', '1 while a model can answer.', () =>
    ['ready', 'unloaded'].includes(engine().state) ? 1 : 0,
  )
  registerGauge(registry, 'simpleia_engine_resident_bytes', 'Memory of the engine process.', () => engine().residentBytes)
  registerGauge(registry, 'simpleia_cache_entries', 'Answers in the cache.', () => cache().entries)
  registerCounter(registry, 'simpleia_cache_evictions_total', 'Answers that made room for others.', () => cache().evictions)
  registerGauge(registry, 'simpleia_cache_hit_ratio', 'Hits among all look-ups since the start, 0 to 1.', () => {
    const { hits, misses } = cache()
    return hits + misses === 0 ? 0 : hits / (hits + misses)
  })
}

const nanosecondsPerSecond = 1e9

function registerProcess(registry: Registry): { disable(): void } {
  const eventLoop = monitorEventLoopDelay({ resolution: 20 })
  eventLoop.enable()
  registerGauge(registry, 'process_resident_memory_bytes', 'Memory of the API process.', () => process.memoryUsage.rss())
  registerGauge(registry, 'process_heap_used_bytes', 'JavaScript heap in use.', () => process.memoryUsage().heapUsed)
  registerGauge(
    registry,
    'process_start_time_seconds',
    'When the API process began, in Unix time.',
    () => Date.now() / 1000 - process.uptime(),
  )
  registerCounter(registry, 'process_cpu_seconds_total', 'CPU time of the API process.', () => {
    const { user, system } = process.cpuUsage()
    return (user + system) / 1e6
  })
  registerGauge(
    registry,
    'simpleia_event_loop_delay_p99_seconds',
    'How late the event loop ran, 99th percentile since the start.',
    () => (Number.isNaN(eventLoop.mean) ? 0 : eventLoop.percentile(99) / nanosecondsPerSecond),
  )
  return eventLoop
}
