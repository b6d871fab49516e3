import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { createGuard, type Guard } from './auth/guard.ts'
import { createLoginThrottle } from './auth/login-throttle.ts'
import { isFromOwnPage } from './auth/own-page.ts'
import { createPasswords } from './auth/passwords.ts'
import { addressOf, createRateLimits, type RateLimits } from './auth/rate-limit.ts'
import { type AuthRoutes, authRoutes } from './auth/routes.ts'
import { openSecretKey } from './auth/secret-key.ts'
import { createTokens } from './auth/tokens.ts'
import { createUsers } from './auth/users.ts'
import { type Closer, createCloser } from './closer.ts'
import { readSelection, type Selection, writeSelection } from './config/selection.ts'
import { type Config, isLoopback } from './config.ts'
import { ollamaRoutes } from './dialects/ollama.ts'
import { ollamaAdminRoutes } from './dialects/ollama-admin.ts'
import { openaiRoutes } from './dialects/openai.ts'
import type { Embedders, Rerankers } from './engine/embedder.ts'
import { chooseSizes } from './engine/local/context-sizes.ts'
import type { QuantizerChild } from './engine/local/quantize-process.ts'
import type { ModelHost } from './engine/provider.ts'
import type { ReadVectors, VectorIndex } from './engine/vector-index.ts'
import { createFeedback } from './feedback/feedback.ts'
import { type FeedbackRoutes, feedbackRoutes } from './feedback/routes.ts'
import { serveApiDocs } from './http/api-docs.ts'
import { healthRoutes } from './http/health.ts'
import { createLifecycle, type Lifecycle } from './http/lifecycle.ts'
import { logAnswer } from './http/request-log.ts'
import { createServer, type LogOptions, mountRoutes, type Routes } from './http/server.ts'
import { createSockets, type SocketLimits, type Sockets, socketLimits } from './http/websocket.ts'
import { type KnowledgeRoutes, openKnowledge } from './knowledge.ts'
import { createMetrics, type Metrics } from './metrics/metrics.ts'
import { countRequest, metricsRoutes } from './metrics/routes.ts'
import { type ModelJobs, openModelJobs } from './model-jobs.ts'
import { modelAdminRoutes, modelRoutes } from './models/routes.ts'
import { createCache } from './predict/cache.ts'
import { type Asker, createPredict, type Meter, type Predict } from './predict/predict.ts'
import { predictRoutes } from './predict/routes.ts'
import { predictSocketRoutes } from './predict/websocket.ts'
import type { FetchPage } from './rag/fetch-page.ts'
import { openStorage, type Storage } from './storage/open-storage.ts'
import { webPages } from './web-client/pages.ts'

export type AppParts = Readonly<{
  /** The model that answers. */
  host: ModelHost
  /** What makes vectors. */
  embedders: Embedders
  /** What orders texts by how well they answer. */
  rerankers: Rerankers
  /** Opens what finds the nearest vectors; it reads them from the database. */
  openVectorIndex: (readVectors: ReadVectors) => VectorIndex
  /** Starts the process of a quantization. */
  spawnQuantizer?: () => QuantizerChild
  /** Fetches pages that users name. */
  fetchPage?: FetchPage
  version?: string
  logStream?: LogOptions['stream']
  socketLimits?: Partial<SocketLimits>
  /** Milliseconds since 1970. */
  now?: () => number
}>

export type App = Readonly<{
  /** Ready to listen, or to be asked with `inject`. */
  http: FastifyInstance
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

async function compose(config: Config, parts: AppParts, closer: Closer): Promise<App> {
  const { host, now = Date.now } = parts
  const storage = closer.use(await openStorage({ path: config.databaseUrl, now }))
  const access = await openAccess(config, storage, now)
  const lifecycle = createLifecycle()
  const cache = createCache({ maxEntries: config.cacheMaxEntries, ttlSeconds: config.cacheTtlSeconds, now })
  const metrics = closer.use(createMetrics({ engine: () => host.status(), cache: () => cache.statistics() }))
  const predict = createPredict({
    provider: host,
    cache,
    admission: lifecycle,
    meter: freeOfCharge,
    metrics,
    createId: randomUUID,
    now,
  })
  const http = closer.use(await openServer(config, parts, lifecycle, metrics))
  const limits = await createRateLimits(http, {
    requests: config.rateLimitRequests,
    windowSeconds: config.rateLimitWindowSeconds,
    keyOf: (request) => askerOf(request).key,
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
    { ...parts, storage, predict, limit: limits.limitGeneration, askerOf, now },
    closer,
  )
  const jobs = openModelJobs(config, { ...parts, now }, closer)
  const routes = listRoutes({ config, parts, access, lifecycle, metrics, predict, limits, sockets, jobs, knowledge })
  await mountRoutes(http, { caller: allowCaller, user: requireUser, admin: requireAdmin }, routes)
  await http.ready()
  const close = (graceMs: number) => shutDown({ http, lifecycle, sockets, closer, graceMs })
  let closing: Promise<void> | undefined
  return {
    http,
    close({ graceMs = config.shutdownGraceSeconds * 1000 } = {}) {
      closing ??= close(graceMs)
      return closing
    },
  }
}

type Access = Readonly<{ guard: Guard; auth: AuthRoutes; feedback: FeedbackRoutes }>

async function openAccess(config: Config, { db }: Storage, now: () => number): Promise<Access> {
  const { environment, dataDir, allowAnonymous, allowRegistration } = config
  const secretKey = await openSecretKey({ configured: config.secretKey, dataDir, environment })
  const tokens = createTokens({ secretKey, ttlSeconds: config.tokenTtlSeconds, now, db })
  const users = createUsers({ db, passwords: createPasswords(), now, allowRegistration })
  const throttle = createLoginThrottle({ now })
  return {
    guard: createGuard({ findCaller: tokens.findCaller, allowAnonymous, allowedOrigins: config.corsOrigins }),
    auth: authRoutes({ users, tokens, throttle, addressOf, production: environment === 'production' }),
    feedback: feedbackRoutes({ feedback: createFeedback({ db, now }) }),
  }
}

function openServer(config: Config, { logStream }: AppParts, lifecycle: Lifecycle, metrics: Metrics): Promise<FastifyInstance> {
  const count = countRequest(metrics)
  return createServer({
    boundToLoopback: isLoopback(config.host),
    production: config.environment === 'production',
    corsOrigins: config.corsOrigins,
    trustProxy: config.trustProxy,
    maxBodyBytes: config.maxBodyBytes,
    log: { level: config.logLevel, ...(logStream === undefined ? {} : { stream: logStream }) },
    isFromOwnPage,
    lifecycle,
    onRequestEnd: (request, reply, status) => {
      logAnswer(request, reply, status)
      count(request, reply, status)
    },
  })
}

type RouteParts = Readonly<{
  config: Config
  parts: AppParts
  access: Access
  lifecycle: Lifecycle
  metrics: Metrics
  predict: Predict
  limits: RateLimits
  sockets: Sockets
  jobs: ModelJobs
  knowledge: KnowledgeRoutes
}>

/** Which route is mounted where: this decides who may use it. */
function listRoutes({
  config,
  parts,
  access,
  lifecycle,
  metrics,
  predict,
  limits,
  sockets,
  jobs,
  knowledge,
}: RouteParts): Routes {
  const { host, embedders, rerankers, now = Date.now } = parts
  const common = { predict, askerOf }
  const health = { version: versionOf(parts), engine: () => host.status(), isDraining: lifecycle.isDraining, uptimeSeconds }
  const models = {
    host,
    install: jobs.install,
    saveSelection: (selection: Selection) => writeSelection(config.configFile, selection),
    readSelection: () => readSelection(config.configFile),
  }
  return {
    public: [
      healthRoutes(health),
      metricsRoutes({ metrics, requireToken: access.guard.requireUser }),
      access.auth.public,
      webPages,
    ],
    caller: [
      predictRoutes({ ...common, limit: limits.limitGeneration }),
      predictSocketRoutes({ ...common, sockets, countGeneration: limits.countGeneration }),
      openaiRoutes({
        predict,
        askerOf,
        limit: limits.limitGeneration,
        listModels: () => listModels(host),
        embedders,
        rerankers,
        now,
      }),
      ollamaRoutes({
        ...common,
        limit: limits.limitGeneration,
        host,
        embedders,
        files: jobs.files,
        windowOf: (trained) => chooseSizes(config, trained).contextSize,
        keepAliveMs: config.keepAliveSeconds * 1000,
        isAdmin: ({ caller }) => caller.type === 'user' && caller.role === 'admin',
        now,
      }),
      modelRoutes(models),
      ...jobs.caller,
      ...knowledge.caller,
      access.feedback.caller,
    ],
    user: [access.auth.user, ...knowledge.user],
    admin: [access.auth.admin, access.feedback.admin, modelAdminRoutes(models), ...jobs.admin, ollamaAdminRoutes(jobs)],
  }
}

/** A user has one queue turn, cache and rate limit, wherever they ask from; someone without a name has those of their address. */
function askerOf(request: FastifyRequest): Asker {
  const { caller } = request
  if (caller.type === 'user') return { key: `user:${caller.id}`, authenticated: true, userId: caller.id, keyId: undefined }
  return { key: `address:${addressOf(request)}`, authenticated: false, userId: undefined, keyId: undefined }
}

/** Those that answer first: some clients take the first one. */
async function listModels(host: ModelHost): Promise<readonly string[]> {
  const models = await host.list()
  const namesOf = (wanted: string) => models.flatMap(({ name, aliases, kind }) => (kind === wanted ? [name, ...aliases] : []))
  return [...namesOf('chat'), ...namesOf('embedding')]
}

const freeOfCharge: Meter = { admit: async () => {}, note: async () => {} }
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
