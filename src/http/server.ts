import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import cookie from '@fastify/cookie'
import cors from '@fastify/cors'
import formbody from '@fastify/formbody'
import websocket from '@fastify/websocket'
import {
  type ConnectionError,
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyPluginAsync,
  type FastifyReply,
  type FastifyRequest,
  fastify,
  LogController,
  type onRequestAsyncHookHandler,
  type RouteOptions,
} from 'fastify'
import { AppError } from '../errors.ts'
import { type BrowserGuardOptions, createBrowserGuard } from './browser-guard.ts'
import { replyWithError, sendError, toErrorBody, unknownAddress } from './error-reply.ts'
import { createJsonParser } from './json-body.ts'
import { refuseDeepJson } from './json-depth.ts'
import type { Lifecycle } from './lifecycle.ts'
import { onRequestEnd, type RequestEndListener } from './request-end.ts'
import { requestIdOf } from './request-log.ts'
import { createSchemaCompilers, type SchemaCompilers } from './schema-compilers.ts'
import { createSecurityHeaders } from './security-headers.ts'
import { chooseProtocol } from './socket-protocols.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Where `mountRoutes` has mounted the route. */
    scope?: Scope
  }
}

/** Who may use a route. Each scope has a guard in front, which refuses before anything of the request is read. */
export type Scope = 'public' | 'caller' | 'user' | 'admin'
export type Guards = Readonly<Record<Exclude<Scope, 'public'>, onRequestAsyncHookHandler>>
export type Routes = Readonly<Record<Scope, readonly FastifyPluginAsync[]>>

export type ServerOptions = Readonly<{
  boundToLoopback: boolean
  production: boolean
  /** Names by which the service is reached; see browser-guard.ts. */
  allowedHosts?: readonly string[]
  corsOrigins: readonly string[]
  isFromOwnPage: BrowserGuardOptions['isFromOwnPage']
  /** Addresses or subnets of proxies whose X-Forwarded-For is believed. */
  trustProxy: readonly string[]
  maxBodyBytes: number
  log: FastifyBaseLogger
  lifecycle: Lifecycle
  /** Answers a request whose address cannot be read: no route, scope or hook is found for it. Default: in the common shape. */
  replyToBrokenAddress?: (error: unknown, request: FastifyRequest, reply: FastifyReply) => unknown
  onRequestEnd: RequestEndListener
  /** Adds what comes before all other hooks. */
  addFirstHooks?: (http: FastifyInstance) => void
  /** Services of one process may share them. */
  schemaCompilers?: SchemaCompilers
}>

/** Time to receive a whole request: a caller that sends it drop by drop does not hold a connection for ever. */
const requestTimeoutMs = 120_000
const maxSocketMessageBytes = 1_048_576
const flushMs = 1000
/** What scripts of other origins may read of an answer. */
const exposedHeaders = [
  ...['x-request-id', 'retry-after', 'ratelimit-limit', 'ratelimit-remaining', 'ratelimit-reset'],
  ...['x-simpleia-provider', 'x-simpleia-model', 'x-simpleia-ran-on', 'x-simpleia-why', 'x-simpleia-passed-by'],
  'x-simpleia-prediction-id',
]

/** A server with everything that holds for each request, and no routes yet. */
export async function createServer(options: ServerOptions): Promise<FastifyInstance> {
  const { replyToBrokenAddress = replyWithError, schemaCompilers: { validator, serializer } = createSchemaCompilers() } = options
  const http = fastify({
    loggerInstance: options.log,
    logController: new LogController({ disableRequestLogging: true }),
    genReqId: requestIdOf,
    trustProxy: options.trustProxy.length === 0 ? false : [...options.trustProxy],
    bodyLimit: options.maxBodyBytes,
    requestTimeout: requestTimeoutMs,
    forceCloseConnections: 'idle',
    // No hook runs for an address that cannot be read.
    frameworkErrors: (error, request, reply) => {
      reply.headers({ 'x-request-id': request.id, 'x-content-type-options': 'nosniff' })
      replyToBrokenAddress(error, request, reply)
    },
    clientErrorHandler: answerBrokenRequest,
  })
  http.setValidatorCompiler(validator)
  http.setSerializerCompiler(serializer)
  http.removeContentTypeParser(['text/plain', 'application/json'])
  http.addContentTypeParser('application/json', { parseAs: 'buffer' }, createJsonParser(http))
  http.setErrorHandler(replyWithError)
  http.setNotFoundHandler((request, reply) => sendError(reply, unknownAddress(request)))
  http.decorateReply('failure', undefined)
  cutSlowConnections(http)
  // First of all hooks: it closes the connections of the handshakes that those after it refuse.
  const socketOptions = { maxPayload: maxSocketMessageBytes, handleProtocols: chooseProtocol }
  await http.register(websocket, { options: socketOptions, errorHandler: closeBrokenSocket })
  options.addFirstHooks?.(http)
  onRequestEnd(http, options.onRequestEnd)
  guardRequests(http, options)
  http.addHook('preValidation', async ({ body }) => refuseDeepJson(body))
  await http.register(cookie)
  await http.register(cors, {
    origin: options.corsOrigins.length === 0 ? false : [...options.corsOrigins],
    credentials: true,
    methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
    exposedHeaders,
  })
  return http
}

/** A route as it was mounted, without those that Fastify makes itself for HEAD. */
export type MountedRoute = Readonly<{ scope: Scope; method: string; url: string }>

/** Mounts the routes, each in the scope that decides who may use it, and gives the list of them. */
export async function mountRoutes(http: FastifyInstance, guards: Guards, routes: Routes): Promise<readonly MountedRoute[]> {
  const mounted: MountedRoute[] = []
  const note = (name: Scope) => (route: RouteOptions) => {
    route.config = { ...route.config, scope: name }
    for (const method of [route.method].flat()) if (method !== 'HEAD') mounted.push({ scope: name, method, url: route.url })
  }
  await http.register(async (scope) => {
    scope.addHook('onRoute', note('public'))
    // Forms are for the login alone: elsewhere a body that a foreign page can send without asking must not be understood.
    await scope.register(formbody)
    for (const plugin of routes.public) await scope.register(plugin)
  })
  for (const name of ['caller', 'user', 'admin'] as const) {
    await http.register(async (scope) => {
      scope.addHook('onRequest', guards[name])
      scope.addHook('onRequest', (_request, reply, done) => {
        reply.header('cache-control', 'private, no-store')
        done()
      })
      scope.addHook('onRoute', note(name))
      for (const plugin of routes[name]) await scope.register(plugin)
    })
  }
  return mounted
}

function guardRequests(http: FastifyInstance, { lifecycle, ...options }: ServerOptions): void {
  const refuseForeignPages = createBrowserGuard(options)
  const securityHeaders = createSecurityHeaders(options.production)
  http.addHook('onRequest', (request, reply, done) => {
    reply.headers(securityHeaders).header('x-request-id', request.id)
    refuseForeignPages(request)
    if (lifecycle.isDraining()) {
      reply.header('connection', 'close')
      const { url = '' } = request.routeOptions
      if (!url.startsWith('/health')) throw new AppError('unavailable', 'The service is shutting down.', { retryAfterSeconds: 5 })
    }
    done()
  })
  http.addHook('onResponse', (_request, _reply, done) => {
    // A connection that just became idle would otherwise stay open until its keep-alive time is over.
    if (lifecycle.isDraining()) setImmediate(() => http.server.closeIdleConnections())
    done()
  })
}

/** Closing waits for what is on its way out, but not for long: a reader may be slow, or never have read at all. */
function cutSlowConnections(http: FastifyInstance): void {
  const { server } = http
  const open = new Set<Socket>()
  server.on('connection', (socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  http.addHook('preClose', async () => {
    const cut = setTimeout(() => {
      for (const socket of open) socket.destroy()
    }, flushMs)
    cut.unref()
    server.once('close', () => clearTimeout(cut))
  })
}

/** Answers what is not even HTTP, or is too long in its head, in the common shape. */
function answerBrokenRequest(this: FastifyInstance, error: ConnectionError, socket: Socket): void {
  if (error.code === 'ECONNRESET' || socket.destroyed || !socket.writable) return void socket.destroy()
  const tooLarge = error.code === 'HPE_HEADER_OVERFLOW'
  const status = tooLarge ? 431 : error.code === 'ERR_HTTP_REQUEST_TIMEOUT' ? 408 : 400
  const answer = new AppError(
    tooLarge ? 'too_large' : 'invalid',
    tooLarge ? 'The headers are too long.' : 'This is not valid HTTP.',
  )
  const body = JSON.stringify(toErrorBody(answer))
  const head = `HTTP/1.1 ${status} ${STATUS_CODES[status]}\r\ncontent-type: application/json; charset=utf-8`
  socket.end(`${head}\r\ncontent-length: ${Buffer.byteLength(body)}\r\nconnection: close\r\n\r\n${body}`)
}

// Where ws itself found the fault (a frame that is too long), it has begun to close with the right code, and this changes nothing.
function closeBrokenSocket(error: Error, socket: { close(code: number): void }, request: { log: FastifyBaseLogger }): void {
  request.log.info({ err: error }, 'A WebSocket broke')
  socket.close(1011)
}
