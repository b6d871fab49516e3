import { randomUUID } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type {} from '../auth/guard.ts'
import type {} from './traffic.ts'

const safeRequestId = /^[A-Za-z0-9._-]{1,64}$/

/** The caller's own `x-request-id` where it is harmless in a log and a header, else a new one. */
export function requestIdOf(request: IncomingMessage): string {
  const given = request.headers['x-request-id']
  return typeof given === 'string' && safeRequestId.test(given) ? given : randomUUID()
}

export const knownMethods: ReadonlySet<string> = new Set(['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE', 'OPTIONS'])

/** The template of the route, never the path: a log or a metric must not grow or tell secrets with what callers put into it. */
export function routeOf(request: FastifyRequest): string {
  return request.is404 ? 'unmatched' : (request.routeOptions.url ?? 'unmatched')
}

/**
 * One line for each answer: what was asked, never with what words. What probes, collectors and pages fetch again and again is told at
 * `debug`, unless it fails.
 */
export function logAnswer(request: FastifyRequest, reply: FastifyReply, status: number): void {
  const line = {
    method: knownMethods.has(request.method) ? request.method : 'other',
    route: routeOf(request),
    status,
    durationMs: Math.round(reply.elapsedTime),
    failure: reply.failure?.code,
    caller: callerKind(request),
  }
  const isQuiet = request.routeOptions.config.isTraffic === false && status < 400
  request.log[isQuiet ? 'debug' : 'info'](line, 'answered')
}

/** Who has asked, as far as the log is to know: `anonymous`, `user`, `admin`, or an API key of one of the two; absent where nobody was asked who. */
function callerKind({ caller }: FastifyRequest): string | undefined {
  if (caller?.type !== 'user') return caller?.type
  return caller.key === undefined ? caller.role : `${caller.role} key`
}

/** How an error is written to the log. */
export type LoggedError = { type: string; message: string; stack: string; code?: unknown; cause?: LoggedError }

/** Its kind, its words and where it arose, without what else hangs on it (bodies, headers). */
export function serializeError(error: unknown): LoggedError {
  if (!(error instanceof Error)) return { type: typeof error, message: 'thrown, but not an Error', stack: '' }
  return {
    type: error.name,
    message: error.message,
    stack: error.stack ?? '',
    ...('code' in error ? { code: error.code } : {}),
    ...(error.cause === undefined ? {} : { cause: serializeError(error.cause) }),
  }
}
