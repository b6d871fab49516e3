import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { openAccess } from './access.ts'
import { createWatch, openAdmin, tellBoth, type Watch } from './admin-part.ts'
import { openAnswers } from './answers.ts'
import { askerOf, bucketOf, userOf } from './asker.ts'
import { isFromOwnPage } from './auth/own-page.ts'
import { addressOf, createRateLimits } from './auth/rate-limit.ts'
import { openSecretKey } from './auth/secret-key.ts'
import { sessionCookieName } from './auth/session-cookie.ts'
import { refuseUnfinishedRestore } from './backup/restore-backup.ts'
import { type Closer, createCloser } from './closer.ts'
import { type Config, isLoopback } from './config.ts'
import { openConversations } from './conversations-part.ts'
import { openDialects } from './dialect-routes.ts'
import { replyToBrokenAddress } from './dialects/broken-addresses.ts'
import { createDiskRooms } from './disk-rooms.ts'
import { createActivity, watchWork } from './engine/activity.ts'
import { type Clock, systemClock } from './engine/cloud/clock.ts'
import type { Egress } from './engine/cloud/egress.ts'
import type { Embedders, Rerankers } from './engine/embedder.ts'
import type { QuantizerChild } from './engine/local/quantize-process.ts'
import type { ModelHost } from './engine/provider.ts'
import type { Elsewhere, Selected } from './engine/providers.ts'
import type { MergerChild } from './engine/train/merge-process.ts'
import type { ReadVectors, VectorIndex } from './engine/vector-index.ts'
import type { ScoreFileParts } from './evaluation/score-file.ts'
import { serveApiDocs } from './http/api-docs.ts'
import { createLifecycle, type Lifecycle } from './http/lifecycle.ts'
import { createLog, type LogOptions } from './http/log-stream.ts'
import { logAnswer } from './http/request-log.ts'
import type { SchemaCompilers } from './http/schema-compilers.ts'
import { createServer, type MountedRoute, mountRoutes } from './http/server.ts'
import { createSockets, type SocketLimits, type Sockets, socketLimits } from './http/websocket.ts'
import { openInstances } from './instances/instances.ts'
import { openSettledTime } from './instances/settled-time.ts'
import { openKeptBytes } from './kept-part.ts'
import { openKnowledge } from './knowledge.ts'
import { openLearning } from './learning.ts'
import { listRoutes } from './list-routes.ts'
import { createMetrics, type Metrics } from './metrics/metrics.ts'
import { countActive, countRequest } from './metrics/routes.ts'
import { openModelJobs } from './model-jobs.ts'
import { statusOf } from './models/selected-model.ts'
import { traceEgress } from './observe/observe-egress.ts'
import { type RequestTracing, traceRequests } from './observe/trace-requests.ts'
import type { Tracing } from './observe/tracing.ts'
import { observeWork } from './observe-work.ts'
import { openOutside } from './outside.ts'
import { openPredictions } from './predictions-part.ts'
import type { FetchPage } from './rag/fetch-page.ts'
import { createReload, followingOf, openSharedSelection } from './shared-selection.ts'
import { openSharing } from './sharing.ts'
import { createDatabaseCheck } from './storage/database-check.ts'
import { openStorage } from './storage/open-storage.ts'
import { createSlowStatements } from './storage/slow-statements.ts'
import { openTracing } from './tracing-part.ts'
import type { StartTrainer } from './training/trainer.ts'

export type AppParts = Readonly<{
  /** The models of this machine. */
  host: ModelHost
  /** Reads what answers besides them. */
  readElsewhere?: (egress: Egress) => Promise<Elsewhere>
  /** Which of them answers who names none; default: a model of this machine. */
  selected?: Selected
  /** What makes vectors. */
  embedders: Embedders
  /** What orders texts by how well they answer. */
  rerankers: Rerankers
  /** Opens what finds the nearest vectors; it reads them from the database. */
  openVectorIndex: (readVectors: ReadVectors) => VectorIndex
  /** Starts the process of a quantization. */
  spawnQuantizer?: () => QuantizerChild
  /** Scores examples in a process of its own. */
  runScoring?: ScoreFileParts['runScoring']
  /** Starts the process of a merge. */
  spawnMerger?: () => MergerChild
  /** Starts the process of a training run. */
  startTrainer?: StartTrainer
  /** By which training waits for calm. */
  clock?: Clock
  /** What reaches the world outside; whatever goes out, goes by it through the ledger. */
  fetch?: typeof globalThis.fetch
  /** Fetches pages that users name. */
  fetchPage?: FetchPage
  version?: string
  /** What compiles the schemas of routes; services of one process may share it. */
  schemaCompilers?: SchemaCompilers
  logStream?: LogOptions['stream']
  socketLimits?: Partial<SocketLimits>
  /** Milliseconds since 1970. */
  now?: () => number
}>

export type App = Readonly<{
  /** Ready to listen, or to be asked with `inject`. */
  http: FastifyInstance
  /** What there is, by who may use it. */
  routes: readonly MountedRoute[]
  /**
   * Stops accepting at once; running answers may end within `graceMs`, then they are ended with an error. Closes all parts that
   * the app opened, and the model host. Calling it again waits for the same end.
   */
  close(options?: Readonly<{ graceMs?: number }>): Promise<void>
}>

/** The composition root: settings become parts, parts become a service. What was opened is closed again when it fails. */
export async function createApp(config: Config, parts: AppParts): Promise<App> {
  const closer = createCloser()
  closer.use(parts.host)
  closer.use(parts.embedders)
  closer.use(parts.rerankers)
  try {
    return await compose(config, parts, closer)
  } catch (error) {
    await closer.close()
    throw error
  }
}

async function compose(config: Config, given: AppParts, closer: Closer): Promise<App> {
  const base = await openBase(config, given, closer)
  const { access, lifecycle, metrics, parts } = base
  // Before the server, so that it is closed after it: by then all that it watches has ended.
  const admin = openAdmin(
    {
      ...base,
      guard: access.guard,
      cache: base.sources.cache,
      engine: () => statusOf({ host: parts.host, providers: features.answers.providers, localOnly: config.localOnly }),
      memory: () => parts.host.memory(),
      ...{ version: versionOf(parts), localOnly: config.localOnly, uptimeSeconds },
    },
    closer,
  )
  const front = await openFront(config, base, closer)
  const features = await openFeatures(config, { ...base, ...front }, closer)
  const { http, limits, sockets } = front
  const { outside, ...opened } = features
  const { answers } = opened
  const following = followingOf(parts.host, answers, outside.prices)
  const { isSlow: isDatabaseSlow } = base.slowStatements
  const health = { version: versionOf(parts), uptimeSeconds, isDatabaseSlow, checkDatabase: base.checkDatabase }
  const routes = listRoutes({
    ...{ config, host: parts.host, health, access, lifecycle, metrics, now: base.now },
    ...{ admin, limits, sockets, ledger: outside.ledger, ...opened },
    keep: openKeptBytes(config, base.now),
    saveSelection: base.selection.save,
    prepareReload: createReload(config, base.selection, following.prepare),
  })
  const { requireUser, requireAdmin, allowCaller } = access.guard
  const mounted = await mountRoutes(http, { caller: allowCaller, user: requireUser, admin: requireAdmin }, routes)
  await http.ready()
  // Nobody waits for it: a model may take minutes to load.
  void base.selection.follow(following)
  const delayMs = config.shutdownDelaySeconds * 1000
  const close = (graceMs: number) => shutDown({ http, lifecycle, sockets, closer, graceMs, delayMs })
  let closing: Promise<void> | undefined
  return {
    http,
    routes: mounted,
    close({ graceMs = config.shutdownGraceSeconds * 1000 } = {}) {
      closing ??= close(graceMs)
      return closing
    },
  }
}

type Base = Awaited<ReturnType<typeof openBase>>

/** What all others stand on: the database, who may come in, what is watched. */
async function openBase(config: Config, given: AppParts, closer: Closer) {
  const { now = Date.now, clock = systemClock } = given
  const activity = createActivity(clock.now)
  const version = versionOf(given)
  const sources = { engine: () => given.host.status(), cache: () => cache.statistics(), version }
  const watch = createWatch({ engine: sources.engine, logStream: given.logStream, now })
  const metrics = tellBoth(closer.use(createMetrics(sources)), watch.running.told)
  await refuseUnfinishedRestore(config.dataDir)
  const slowStatements = createSlowStatements(clock.now)
  const onQuery: typeof metrics.queryEnd = (kind, seconds, failure) => {
    metrics.queryEnd(kind, seconds, failure)
    slowStatements.saw(seconds)
  }
  const storage = closer.use(await openStorage({ url: config.databaseUrl, now, onQuery }))
  metrics.watchConnections(storage.connections)
  const checkDatabase = createDatabaseCheck(storage.db)
  metrics.watchDatabase(checkDatabase)
  metrics.watchDisks(createDiskRooms({ data: config.dataDir, models: config.modelsDir }))
  const { db } = storage
  const settled = closer.use(await openSettledTime({ db, now, clock }))
  const settledNow = settled.now
  const lifecycle = createLifecycle()
  // The log is there before what follows requests, of which each line tells.
  let tracing: Tracing | undefined
  const log = createLog({ level: config.logLevel, stream: watch.logStream, mixin: () => tracing?.ids() })
  const instances = closer.use(await openInstances({ db, url: config.databaseUrl, clock, log }))
  const selection = closer.use(openSharedSelection(config, { db, instances, log }))
  const secretKey = await openSecretKey({ ...config, configured: config.secretKey })
  const untraced = await openOutside(config, { ...given, storage, instances, metrics, now })
  tracing = closer.use(await openTracing(config, { egress: untraced.egress, metrics, version, now, log: () => log }))
  const outside = { ...untraced, egress: traceEgress(untraced.egress, tracing) }
  const sharing = await openSharing(config, { secretKey, log, version, clock }, closer)
  const { cache } = sharing
  if (sharing.redis !== undefined) metrics.watchRedis(sharing.redis)
  const access = openAccess(config, { db, secretKey, ...sharing, now, settledNow })
  const parts = { ...given, ...observeWork(watchWork(given, activity), { metrics, tracing }) }
  const shared = { storage, slowStatements, db, checkDatabase, instances, selection, sharing, cache }
  return { now, settledNow, clock, activity, parts, access, lifecycle, sources, watch, metrics, outside, tracing, log, ...shared }
}

type Front = Awaited<ReturnType<typeof openFront>>

/** The server, and what holds for each request to it. */
async function openFront(config: Config, base: Base, closer: Closer) {
  const { access, clock, lifecycle, log, metrics, parts, sharing, tracing, watch } = base
  const requests = traceRequests(tracing)
  const http = closer.use(await openServer(config, { ...parts, watch, log, requests }, lifecycle, metrics))
  const limits = createRateLimits({
    requests: config.rateLimitRequests,
    windowSeconds: config.rateLimitWindowSeconds,
    keyOf: bucketOf,
    windows: sharing.windows,
  })
  http.addHook('onRequest', limits.limitAll)
  const sockets = createSockets({
    limits: { ...socketLimits, ...parts.socketLimits },
    clientOf: addressOf,
    isStillValid: ({ caller }) => access.guard.isStillValid(caller),
    onError: metrics.errorSent,
    now: clock.now,
  })
  const cookieName = sessionCookieName(config.environment === 'production')
  await serveApiDocs(http, { version: versionOf(parts), allowAnonymous: config.allowAnonymous, cookieName })
  return { http, limits, sockets }
}

/** What the service can do, each part with its routes. */
async function openFeatures(config: Config, opened: Base & Front, closer: Closer) {
  const { activity, cache, clock, db, instances, lifecycle, limits, log, metrics, now, outside, settledNow, storage, tracing } =
    opened
  const { save: saveSelection } = opened.selection
  const told = { log, metrics, tracing, now, settledNow, clock, askerOf, userOf, outside, egress: outside.egress }
  const common = { ...opened.parts, db, instances, saveSelection, ...told }
  const onFeedback = () => answers.rollouts.lookSoon()
  const predictions = openPredictions(config, { ...common, onFeedback }, closer)
  const { recorder } = predictions
  const answers = await openAnswers(config, { ...common, cache, lifecycle, recorder }, closer)
  const { accounting, predict, providers } = answers
  const { limitGeneration: limit } = limits
  const { isDraining } = lifecycle
  const answering = { ...common, predict, providers, limit, isDraining }
  const knowledge = await openKnowledge(config, { ...answering, storage, metered: accounting.metered }, closer)
  const { refuseRemoval } = answers.rollouts
  const jobs = await openModelJobs(config, { ...common, activity, refuseRemoval, isDraining }, closer)
  const dialects = openDialects(config, { ...common, answers, limits, jobs })
  const conversations = await openConversations(config, { ...answering, ...knowledge, lifecycle }, closer)
  const learning = await openLearning(config, { ...answering, answers, predictions, activity }, closer)
  return { outside, answers, knowledge, jobs, dialects, conversations, learning }
}

type ServerParts = Readonly<{ watch: Watch; log: FastifyBaseLogger; requests: RequestTracing }>

function openServer(
  config: Config,
  { watch, log, schemaCompilers, requests }: Pick<AppParts, 'schemaCompilers'> & ServerParts,
  lifecycle: Lifecycle,
  metrics: Metrics,
): Promise<FastifyInstance> {
  const count = countRequest(metrics)
  return createServer({
    boundToLoopback: isLoopback(config.host),
    production: config.environment === 'production',
    allowedHosts: config.allowedHosts,
    corsOrigins: config.corsOrigins,
    trustProxy: config.trustProxy,
    maxBodyBytes: config.maxBodyBytes,
    log,
    isFromOwnPage,
    lifecycle,
    replyToBrokenAddress,
    ...(schemaCompilers === undefined ? {} : { schemaCompilers }),
    addFirstHooks(http) {
      requests.addHooks(http)
      countActive(http, metrics)
    },
    onRequestEnd: requests.ending((request, reply, status) => {
      logAnswer(request, reply, status)
      count(request, reply, status)
      watch.onRequestEnd(request, reply, status)
    }),
  })
}

const uptimeSeconds = () => process.uptime()
const versionOf = ({ version = 'unknown' }: AppParts) => version

type ShutDownParts = Readonly<{
  http: FastifyInstance
  lifecycle: Lifecycle
  sockets: Sockets
  closer: Closer
  graceMs: number
  /** How long everything goes on, though the service says already that it is not ready. */
  delayMs: number
}>

async function shutDown({ http, lifecycle, sockets, closer, graceMs, delayMs }: ShutDownParts): Promise<void> {
  lifecycle.leave()
  if (http.server.listening && delayMs > 0) await wait(delayMs)
  const drained = lifecycle.drain(graceMs)
  if (http.server.listening) http.server.close()
  sockets.drain()
  await drained
  await sockets.close()
  await closer.close()
}
