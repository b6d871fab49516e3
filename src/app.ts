import type { FastifyBaseLogger, FastifyInstance, FastifyPluginAsync } from 'fastify'
import { type Access, openAccess } from './access.ts'
import { createWatch, openAdmin, tellBoth, type Watch } from './admin-part.ts'
import { type Answers, openAnswers } from './answers.ts'
import { askerOf, bucketOf, userOf } from './asker.ts'
import { openToKeys } from './auth/key-scopes.ts'
import { isFromOwnPage } from './auth/own-page.ts'
import { addressOf, createRateLimits, type RateLimits } from './auth/rate-limit.ts'
import { type Closer, createCloser } from './closer.ts'
import { readSelected, type Selection, writeSelection } from './config/selection.ts'
import { type Config, isLoopback } from './config.ts'
import { type ConversationsPart, openConversations } from './conversations-part.ts'
import { type DialectRoutes, openDialects } from './dialect-routes.ts'
import { egressRoutes } from './egress/routes.ts'
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
import { healthRoutes } from './http/health.ts'
import { createLifecycle, type Lifecycle } from './http/lifecycle.ts'
import { createLog, type LogOptions } from './http/log-stream.ts'
import { logAnswer } from './http/request-log.ts'
import { createServer, type MountedRoute, mountRoutes, type Routes, type SchemaCompilers } from './http/server.ts'
import { asNoTraffic } from './http/traffic.ts'
import { createSockets, type SocketLimits, type Sockets, socketLimits } from './http/websocket.ts'
import { type Knowledge, openKnowledge } from './knowledge.ts'
import { type LearningRoutes, openLearning } from './learning.ts'
import { createMetrics, type Metrics } from './metrics/metrics.ts'
import { countRequest, metricsRoutes } from './metrics/routes.ts'
import { type ModelJobs, openModelJobs } from './model-jobs.ts'
import { loadRoutes, modelRoutes } from './models/routes.ts'
import { selectRoutes } from './models/select-routes.ts'
import { statusOf } from './models/selected-model.ts'
import { type Outside, openOutside } from './outside.ts'
import { createCache } from './predict/cache.ts'
import { predictRoutes } from './predict/routes.ts'
import { predictSocketRoutes } from './predict/websocket.ts'
import { openPredictions } from './predictions-part.ts'
import type { FetchPage } from './rag/fetch-page.ts'
import { openStorage } from './storage/open-storage.ts'
import type { StartTrainer } from './training/trainer.ts'
import { usageRoutes } from './usage/routes.ts'
import { webPages } from './web-client/pages.ts'

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
  /** What compiles the schemas of routes; many services in one process may share it. */
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
  const { now = Date.now, clock = systemClock } = given
  const activity = createActivity(clock.now)
  const parts = { ...given, ...watchWork(given, activity) }
  const { host } = parts
  const storage = closer.use(await openStorage({ path: config.databaseUrl, now }))
  const access = await openAccess(config, { ...storage, now })
  const lifecycle = createLifecycle()
  const cache = createCache({ maxEntries: config.cacheMaxEntries, ttlSeconds: config.cacheTtlSeconds, now })
  const sources = { engine: () => host.status(), cache: () => cache.statistics() }
  const watch = createWatch({ engine: sources.engine, logStream: parts.logStream, now })
  const metrics = tellBoth(closer.use(createMetrics(sources)), watch.running.told)
  const log = createLog({ level: config.logLevel, stream: watch.logStream })
  const { db } = storage
  // Before the server, so that it is closed after it: by then all that it watches has ended.
  const admin = openAdmin(
    {
      cache: sources.cache,
      engine: () => statusOf({ host, providers: answers.providers, localOnly: config.localOnly }),
      ...{ db, watch, log, clock, metrics, now, uptimeSeconds },
      guard: access.guard,
      version: versionOf(parts),
      localOnly: config.localOnly,
      memory: () => host.memory(),
    },
    closer,
  )
  const outside = await openOutside(config, { ...parts, storage, metrics, now })
  const http = closer.use(await openServer(config, { ...parts, watch, log }, lifecycle, metrics))
  const predictions = openPredictions(config, { db, log, metrics, now, onFeedback: () => answers.rollouts.lookSoon() }, closer)
  const { recorder } = predictions
  const answers = await openAnswers(
    config,
    { ...parts, db, log, askerOf, outside, cache, lifecycle, metrics, recorder, now },
    closer,
  )
  const { predict, providers, accounting } = answers
  const limits = await createRateLimits(http, {
    requests: config.rateLimitRequests,
    windowSeconds: config.rateLimitWindowSeconds,
    keyOf: bucketOf,
  })
  http.addHook('onRequest', limits.limitAll)
  const sockets = createSockets({
    limits: { ...socketLimits, ...parts.socketLimits },
    clientOf: addressOf,
    isStillValid: ({ caller }) => access.guard.isStillValid(caller),
    onError: metrics.errorSent,
    now,
  })
  await serveApiDocs(http, versionOf(parts))
  const { requireUser, requireAdmin, allowCaller } = access.guard
  const knowledge = await openKnowledge(
    config,
    {
      ...parts,
      storage,
      predict,
      providers,
      egress: outside.egress,
      limit: limits.limitGeneration,
      metered: accounting.metered,
      askerOf,
      now,
    },
    closer,
  )
  const jobs = openModelJobs(
    config,
    { ...parts, activity, egress: outside.egress, userOf, refuseRemoval: answers.rollouts.refuseRemoval, now },
    closer,
  )
  const dialects = openDialects(config, { ...parts, answers, limits, jobs, db, now })
  const { isDraining } = lifecycle
  const { limitGeneration: limit } = limits
  const conversations = await openConversations(
    config,
    { ...parts, ...knowledge, db, log, predict, askerOf, limit, isDraining, now },
    closer,
  )
  const learning = await openLearning(
    config,
    { ...parts, db, log, answers, predictions, activity, clock, metrics, isDraining, userOf, now },
    closer,
  )
  const opened = {
    admin,
    access,
    lifecycle,
    metrics,
    answers,
    learning,
    limits,
    sockets,
    jobs,
    dialects,
    knowledge,
    conversations,
    outside,
  }
  const routes = listRoutes({ config, parts, ...opened })
  const mounted = await mountRoutes(http, { caller: allowCaller, user: requireUser, admin: requireAdmin }, routes)
  await http.ready()
  const close = (graceMs: number) => shutDown({ http, lifecycle, sockets, closer, graceMs })
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

function openServer(
  config: Config,
  { watch, log, schemaCompilers }: Pick<AppParts, 'schemaCompilers'> & Readonly<{ watch: Watch; log: FastifyBaseLogger }>,
  lifecycle: Lifecycle,
  metrics: Metrics,
): Promise<FastifyInstance> {
  const count = countRequest(metrics)
  return createServer({
    boundToLoopback: isLoopback(config.host),
    production: config.environment === 'production',
    corsOrigins: config.corsOrigins,
    trustProxy: config.trustProxy,
    maxBodyBytes: config.maxBodyBytes,
    log,
    isFromOwnPage,
    lifecycle,
    ...(schemaCompilers === undefined ? {} : { schemaCompilers }),
    onRequestEnd: (request, reply, status) => {
      logAnswer(request, reply, status)
      count(request, reply, status)
      watch.onRequestEnd(request, reply, status)
    },
  })
}

type RouteParts = Readonly<{
  config: Config
  parts: AppParts
  admin: FastifyPluginAsync
  access: Access
  lifecycle: Lifecycle
  metrics: Metrics
  answers: Answers
  learning: LearningRoutes
  limits: RateLimits
  sockets: Sockets
  jobs: ModelJobs
  dialects: DialectRoutes
  knowledge: Knowledge
  conversations: ConversationsPart
  outside: Outside
}>

/** Which route is mounted where: this decides who may use it. */
function listRoutes({ config, parts, ...opened }: RouteParts): Routes {
  const { host, now = Date.now } = parts
  const {
    admin,
    access,
    lifecycle,
    metrics,
    answers,
    learning,
    limits,
    sockets,
    jobs,
    dialects,
    knowledge,
    conversations,
    outside,
  } = opened
  const { predict, providers, accounting, rollouts } = answers
  const common = { predict, askerOf }
  const { localOnly } = config
  const answering = { host, providers, localOnly }
  const engine = () => statusOf(answering)
  const health = { version: versionOf(parts), localOnly, engine, isDraining: lifecycle.isDraining, uptimeSeconds }
  const selecting = {
    ...answering,
    install: jobs.install,
    saveSelection: (selection: Selection) => writeSelection(config.configFile, selection),
    prepareReload: () => prepareReload(config, answers, outside),
    userOf,
    onSelect: (actor: string) => rollouts.selectedByHand({ actor }),
  }
  const { meter } = accounting
  return {
    public: [
      asNoTraffic([
        healthRoutes(health),
        openToKeys('metrics', [metricsRoutes({ metrics, requireToken: access.guard.requireUser })]),
        webPages,
      ]),
      access.auth.public,
    ],
    caller: [
      openToKeys('inference', [
        predictRoutes({ ...common, limit: limits.limitGeneration }),
        predictSocketRoutes({ ...common, sockets, countGeneration: limits.countGeneration }),
        ...dialects.caller,
        modelRoutes({ ...answering, findShared: rollouts.findShared }),
        ...jobs.caller,
      ]),
      ...knowledge.caller,
      ...conversations.caller,
      ...learning.caller,
    ],
    user: [
      openToKeys('any', [access.auth.self, usageRoutes({ meter, askerOf, now })]),
      access.auth.user,
      access.keys.user,
      ...learning.user,
      ...knowledge.user,
    ],
    admin: [
      access.auth.admin,
      access.keys.admin,
      ...learning.admin,
      openToKeys('admin', [
        admin,
        selectRoutes(selecting),
        loadRoutes(answering),
        ...jobs.admin,
        ...dialects.admin,
        egressRoutes({ ledger: outside.ledger, localOnly }),
      ]),
    ],
  }
}

/** Everything is read and checked before anything changes. */
async function prepareReload(config: Config, { prepareProviders }: Answers, { prices }: Outside) {
  const selected = await readSelected(config)
  const applyPrices = await prices.prepare()
  const applyProviders = await prepareProviders(selected)
  const apply = async () => {
    applyPrices()
    await applyProviders()
  }
  return { selected, apply }
}

const uptimeSeconds = () => process.uptime()
const versionOf = ({ version = 'unknown' }: AppParts) => version

type ShutDownParts = Readonly<{
  http: FastifyInstance
  lifecycle: Lifecycle
  sockets: Sockets
  closer: Closer
  graceMs: number
}>

async function shutDown({ http, lifecycle, sockets, closer, graceMs }: ShutDownParts): Promise<void> {
  const drained = lifecycle.drain(graceMs)
  if (http.server.listening) http.server.close()
  sockets.drain()
  await drained
  await sockets.close()
  await closer.close()
}
