import type { ErrorCode } from '../errors.ts'
import { statusOf } from './error-reply.ts'
import type { Scope } from './server.ts'

/** The parts of a route that tell how it can fail. */
export type RouteKind = Readonly<{
  method: string
  path: string
  scope: Scope
  hasPathParameters: boolean
  hasQuery: boolean
  hasBody: boolean
}>

/** The failures that follow from what a route is: who may call it, what it takes, whether it keeps something. */
export function errorsOfKind({ method, path, scope, ...takes }: RouteKind): readonly ErrorCode[] {
  const isHealth = path.startsWith('/health')
  const changes = method !== 'GET'
  return [
    ...(takes.hasPathParameters || takes.hasQuery || takes.hasBody || changes || path.endsWith('/ws')
      ? (['invalid'] as const)
      : []),
    ...(scope === 'public' ? [] : (['unauthorized'] as const)),
    'forbidden',
    ...(takes.hasPathParameters ? (['not_found'] as const) : []),
    ...(takes.hasBody ? (['too_large'] as const) : []),
    ...(isHealth ? [] : (['rate_limited'] as const)),
    'internal',
    'unavailable',
    ...(changes ? (['storage_full'] as const) : []),
  ]
}

/** What each status means, for people. */
export const meaningOf: Readonly<Record<number, string>> = {
  400: 'The request does not hold what it should; `details` names the fields.',
  401: 'No token or API key, or one that is not good.',
  403: 'Known, but not allowed; or a page of another site asks.',
  404: 'There is no such thing, or it belongs to somebody else.',
  409: 'It contradicts what is there.',
  413: 'More than is taken.',
  422: 'Well formed, but it cannot be worked with.',
  429: 'Too many requests, or a quota is used up.',
  500: 'A fault inside the service.',
  502: 'Another server that was needed failed.',
  503: 'At the limit, starting or stopping.',
  507: 'The disk is full.',
  529: 'At the limit, as Anthropic says it.',
}

/** Each once, in order. */
export function statusesOf(codes: readonly ErrorCode[]): readonly number[] {
  return [...new Set(codes.map((code) => statusOf[code]))].sort((one, other) => one - other)
}
