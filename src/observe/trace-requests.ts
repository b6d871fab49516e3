import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { RequestEndListener } from '../http/request-end.ts'
import { knownMethods, routeOf } from '../http/request-log.ts'
import type {} from '../http/traffic.ts'
import type { Span, Tracing } from './tracing.ts'

/** Follows each request from its arrival to its end. */
export interface RequestTracing {
  /** To be called before other hooks: what they do is part of the request, too. */
  addHooks(http: FastifyInstance): void
  /** The same listener, called as a part of the request, which ends with it. */
  ending(listener: RequestEndListener): RequestEndListener
}

export function traceRequests(tracing: Tracing): RequestTracing {
  if (!tracing.isOn) return { addHooks() {}, ending: (listener) => listener }
  const spans = new WeakMap<FastifyRequest, Span>()
  return {
    addHooks(http) {
      http.addHook('onRequest', (request, _reply, done) => {
        // What asks again and again whether the service is there would be most of all traces.
        if (request.routeOptions.config.isTraffic === false) return done()
        const span = tracing.startFrom(request.headers, nameOf(request), { kind: 'server', attributes: describe(request) })
        spans.set(request, span)
        span.within(done)
      })
    },
    ending: (listener) => (request, reply, status) => {
      const span = spans.get(request)
      if (span === undefined) return listener(request, reply, status)
      span.within(() => listener(request, reply, status))
      span.set({ 'http.response.status_code': status, 'simpleia.caller': request.caller?.type })
      if (status >= 500) span.fail(reply.failure?.code ?? String(status))
      span.end()
    },
  }
}

const methodOf = ({ method }: FastifyRequest) => (knownMethods.has(method) ? method : '_OTHER')

const nameOf = (request: FastifyRequest) => (request.is404 ? methodOf(request) : `${methodOf(request)} ${routeOf(request)}`)

function describe(request: FastifyRequest) {
  return {
    'http.request.method': methodOf(request),
    'http.route': request.is404 ? undefined : routeOf(request),
    'url.scheme': request.protocol,
    'network.protocol.version': request.raw.httpVersion,
    'simpleia.request.id': request.id,
  }
}
