import { totalmem } from 'node:os'
import type { FastifyBaseLogger, FastifyPluginAsync } from 'fastify'
import { toAuditEntry } from './admin/audit/audit-entry.ts'
import { type AuditQueue, createAuditQueue } from './admin/audit/audit-queue.ts'
import { pruneAudit } from './admin/audit/audit-rows.ts'
import { keepAudit } from './admin/audit/keep-audit.ts'
import { keepHistory } from './admin/history/keep-history.ts'
import { createRunningMinute, type RunningMinute } from './admin/history/running-minute.ts'
import { createLogLines, type LogLines } from './admin/log-lines.ts'
import type { OverviewParts } from './admin/overview.ts'
import { adminRoutes } from './admin/routes.ts'
import type { Guard } from './auth/guard.ts'
import { addressOf } from './auth/rate-limit.ts'
import { usernameKey } from './auth/username.ts'
import type { Closer } from './closer.ts'
import type { Clock } from './engine/cloud/clock.ts'
import type { EngineStatus } from './engine/provider.ts'
import { type LogOptions, openLogStream } from './http/log-stream.ts'
import type { RequestEndListener } from './http/request-end.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { PredictMetrics } from './predict/predict.ts'
import type { Database } from './storage/tables.ts'

/** What is noted in memory of each request, answer and line of the log, before anything is there to write it. */
export type Watch = Readonly<{
  running: RunningMinute
  audit: AuditQueue
  lines: LogLines
  onRequestEnd: RequestEndListener
  /** Writes to what it was made with, too. */
  logStream: NonNullable<LogOptions['stream']>
}>

export type WatchParts = Readonly<{
  engine: () => EngineStatus
  logStream: LogOptions['stream']
  now: () => number
}>

export function createWatch({ engine, logStream = openLogStream(1), now }: WatchParts): Watch {
  const running = createRunningMinute({ now, engine, serviceBytes: () => process.memoryUsage.rss() })
  const audit = createAuditQueue({ now, networkOf: (ip) => addressOf({ ip }) })
  const lines = createLogLines(now)
  return {
    running,
    audit,
    lines,
    logStream: {
      write(line) {
        logStream.write(line)
        lines.write(line)
      },
    },
    onRequestEnd(request, reply, status) {
      if (request.routeOptions.config.isTraffic !== false) {
        const isTelling = status !== 499 && status !== 101 && !isStream(reply.raw.getHeader('content-type'))
        running.requestEnd(status, isTelling ? reply.elapsedTime : undefined)
      }
      const entry = toAuditEntry(request, reply, { status, nowMs: now(), usernameKey })
      if (entry !== undefined) audit.add(entry)
    },
  }
}

const isStream = (type: unknown) => typeof type === 'string' && /^(?:text\/event-stream|application\/x-ndjson)/.test(type)

/** The same metrics; what is told of answers is told to the other one, too. */
export function tellBoth(metrics: Metrics, other: PredictMetrics): Metrics {
  return {
    ...metrics,
    cacheHit() {
      metrics.cacheHit()
      other.cacheHit()
    },
    cacheMiss() {
      metrics.cacheMiss()
      other.cacheMiss()
    },
    firstToken(seconds, target) {
      metrics.firstToken(seconds, target)
      other.firstToken(seconds, target)
    },
    generationEnd(usage, answer) {
      metrics.generationEnd(usage, answer)
      other.generationEnd(usage, answer)
    },
    generationFailed(code, target) {
      metrics.generationFailed(code, target)
      other.generationFailed(code, target)
    },
  }
}

export type AdminParts = Omit<OverviewParts, 'machine'> &
  Readonly<{
    db: Database
    watch: Watch
    log: FastifyBaseLogger
    clock: Clock
    metrics: Pick<Metrics, 'adminWriteFailed'>
    guard: Pick<Guard, 'isStillValid'>
    /** As of `openSettledTime`. */
    settledNow: () => number
  }>

/** What admins see of the service: its history, who has changed it, its log. A part of the composition root. */
export function openAdmin(
  { watch, log, clock, metrics, guard, settledNow, ...parts }: AdminParts,
  closer: Closer,
): FastifyPluginAsync {
  const { db, now } = parts
  const audit = closer.use(keepAudit({ db, queue: watch.audit, clock, log, onFailure: () => metrics.adminWriteFailed('audit') }))
  const history = closer.use(
    keepHistory({
      db,
      running: watch.running,
      clock,
      now: settledNow,
      log,
      onFailure: () => metrics.adminWriteFailed('history'),
      pruneMore: (nowMs) => pruneAudit(db, nowMs),
    }),
  )
  const machine = () => ({
    serviceBytes: process.memoryUsage.rss(),
    machineBytes: totalmem(),
    freeBytes: process.availableMemory(),
  })
  return adminRoutes({
    db,
    history,
    flushAudit: audit.flush,
    lines: watch.lines,
    overview: { ...parts, machine },
    now,
    usernameKey,
    isStillValid: ({ caller }) => guard.isStillValid(caller),
  })
}
