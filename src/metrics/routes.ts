import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest, onRequestAsyncHookHandler } from 'fastify'
import type { RequestEndListener } from '../http/request-end.ts'
import { knownMethods, routeOf } from '../http/request-log.ts'
import type { Metrics } from './metrics.ts'

export type MetricsRoutesOptions = Readonly<{
  metrics: Metrics
  /** What a collector may show in the place of a token: nobody needs the database to know it. */
  collectorToken: string | undefined
  /** Lets in whoever shows a token; throws otherwise. */
  requireToken: onRequestAsyncHookHandler
}>

/** GET /metrics, for a collector on the same machine, or one that shows a token. */
export function metricsRoutes({ metrics, collectorToken, requireToken }: MetricsRoutesOptions): FastifyPluginAsync {
  const isCollector = knowsToken(collectorToken)
  return async (http) => {
    http.addHook('onRequest', async function (request, reply) {
      if (!isDirectFromLoopback(request) && !isCollector(request)) await requireToken.call(this, request, reply)
    })
    http.get('/metrics', { schema: { summary: 'Numbers for Prometheus', tags: ['service'] } }, async (_request, reply) => {
      reply.type(metrics.contentType)
      return metrics.text()
    })
  }
}

/** Compares hashes, so that the time tells neither a part of the token nor its length. */
function knowsToken(token: string | undefined): (request: FastifyRequest) => boolean {
  const hashOf = (text: string) => createHash('sha256').update(text).digest()
  const expected = token === undefined ? undefined : hashOf(token)
  return ({ headers }) => {
    const [, shown] = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '') ?? []
    return expected !== undefined && shown !== undefined && timingSafeEqual(hashOf(shown), expected)
  }
}

// A proxy on this machine also comes from loopback: where it says for whom it asks, that is no local caller.
function isDirectFromLoopback({ raw, ip }: FastifyRequest): boolean {
  const { headers } = raw
  const forwarded = headers['x-forwarded-for'] ?? headers.forwarded ?? headers['x-real-ip']
  return forwarded === undefined && (ip === '::1' || ip.startsWith('127.') || ip.startsWith('::ffff:127.'))
}

/** Counts the requests under way. */
export function countActive(http: FastifyInstance, metrics: Pick<Metrics, 'requestBegin'>): void {
  http.addHook('onRequest', (_request, reply, done) => {
    reply.raw.once('close', metrics.requestBegin())
    done()
  })
}

/** Counts one request that has ended. */
export function countRequest(metrics: Metrics): RequestEndListener {
  return (request, reply, status) => {
    if (reply.failure !== undefined) metrics.errorSent(reply.failure.code)
    const method = knownMethods.has(request.method) ? request.method : 'other'
    metrics.requestEnd({ method, route: routeOf(request), status }, reply.elapsedTime / 1000)
  }
}
