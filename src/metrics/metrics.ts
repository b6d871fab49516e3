import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { EgressEntry } from '../engine/cloud/egress.ts'
import type { EngineStatus } from '../engine/provider.ts'
import type { ErrorCode } from '../errors.ts'
import type { CacheStatistics } from '../predict/cache.ts'
import type { PredictMetrics } from '../predict/predict.ts'
import type { RedisNumbers } from '../redis/connection.ts'
import { registerAnswers } from './answer-metrics.ts'
import { requestSeconds } from './buckets.ts'
import { registerEgress } from './egress-metrics.ts'
import { registerEngine } from './engine-metrics.ts'
import { createModelLabels } from './model-label.ts'
import { registerProcess } from './process-metrics.ts'
import { registerRedis } from './redis-metrics.ts'
import { readCounter, readGauge } from './register.ts'
import { registerStorage, type StorageMetrics } from './storage-metrics.ts'
import { registerTraining, type TrainingNumbers } from './training-metrics.ts'
import { registerWork, type WorkMetrics } from './work-metrics.ts'

export type MetricsSources = Readonly<{ engine: () => EngineStatus; cache: () => CacheStatistics; version?: string }>

export type RequestLabels = Readonly<{ method: string; route: string; status: number }>

export interface Metrics extends PredictMetrics, WorkMetrics, StorageMetrics {
  /** A request that has come; what this gives is to be called once when it has ended. */
  requestBegin(): () => void
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
  /** Traces that were sent to their collector, or could not be. */
  tracesSent(outcome: 'ok' | 'failed', spans: number): void
  /** The whole registry as Prometheus text. */
  text(): Promise<string>
  readonly contentType: string
  close(): Promise<void>
}

/** Counts in a registry of its own. Each label has few possible values, whatever callers send. */
export function createMetrics({ engine, cache, version = 'unknown' }: MetricsSources): Metrics {
  const registry = new Registry()
  const labelOf = createModelLabels()
  const answers = registerAnswers(registry, labelOf)
  const looked = registerCache(registry, cache)
  const requests = registerRequests(registry)
  const failures = registerFailures(registry)
  const egressEnd = registerEgress(registry)
  const work = registerWork(registry, labelOf)
  const storage = registerStorage(registry)
  registerEngine(registry, engine)
  const watched = registerProcess(registry, version)
  return {
    ...answers,
    ...looked,
    ...requests,
    ...failures,
    ...work,
    ...storage,
    egressEnd,
    watchTraining: (read) => registerTraining(registry, read),
    watchRedis: (read) => registerRedis(registry, read),
    text: () => registry.metrics(),
    contentType: registry.contentType,
    async close() {
      watched.close()
      registry.clear()
    },
  }
}

function registerRequests(registry: Registry): Pick<Metrics, 'requestBegin' | 'requestEnd'> {
  const registers = [registry]
  const active = new Gauge({
    name: 'simpleia_http_requests_active',
    help: 'Requests under way; a stream or a WebSocket is one until it ends.',
    registers,
  })
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
  return {
    requestBegin() {
      active.inc()
      return () => active.dec()
    },
    requestEnd({ method, route, status }, seconds) {
      requests.inc({ method, route, status })
      durations.observe({ method, route }, seconds)
    },
  }
}

function registerFailures(
  registry: Registry,
): Pick<Metrics, 'errorSent' | 'predictionRecorded' | 'adminWriteFailed' | 'tracesSent'> {
  const registers = [registry]
  const errors = new Counter({ name: 'simpleia_errors_total', help: 'Errors by code.', labelNames: ['code'], registers })
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
  const traces = new Counter({
    name: 'simpleia_trace_spans_total',
    help: 'Spans of traces that were sent to their collector (ok), or could not be (failed).',
    labelNames: ['outcome'],
    registers,
  })
  return {
    errorSent: (code) => errors.inc({ code }),
    predictionRecorded: (outcome) => predictions.inc({ outcome }),
    adminWriteFailed: (what) => adminWrites.inc({ what }),
    tracesSent: (outcome, spans) => traces.inc({ outcome }, spans),
  }
}

function registerCache(registry: Registry, cache: MetricsSources['cache']): Pick<Metrics, 'cacheHit' | 'cacheMiss'> {
  const registers = [registry]
  const hits = new Counter({ name: 'simpleia_cache_hits_total', help: 'Answers from the cache.', registers })
  const misses = new Counter({
    name: 'simpleia_cache_misses_total',
    help: 'Cacheable requests that the cache could not answer.',
    registers,
  })
  readGauge(registry, { name: 'simpleia_cache_entries', help: 'Answers in the cache.' }, () => cache().entries)
  const evictions = { name: 'simpleia_cache_evictions_total', help: 'Answers that made room for others.' }
  readCounter(registry, evictions, () => cache().evictions)
  const ratio = { name: 'simpleia_cache_hit_ratio', help: 'Hits among all look-ups since the start, 0 to 1.' }
  readGauge(registry, ratio, () => {
    const { hits, misses } = cache()
    return hits + misses === 0 ? 0 : hits / (hits + misses)
  })
  return { cacheHit: () => hits.inc(), cacheMiss: () => misses.inc() }
}
