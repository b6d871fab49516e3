import { randomUUID } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { routeOf } from '../../http/request-log.ts'
import type { AuditTable } from '../../storage/admin-tables.ts'
import { type AuditedRoute, auditedRoutes } from './actions.ts'

export type AuditEntry = Readonly<AuditTable>

const mostCharacters = 500

/** What of a request that has ended is to be kept; undefined where it was to change nothing. Bodies are read for no more than one name. */
export function toAuditEntry(
  request: FastifyRequest,
  reply: FastifyReply,
  { status, nowMs, usernameKey }: Readonly<{ status: number; nowMs: number; usernameKey: (typed: string) => string }>,
): AuditEntry | undefined {
  const route = auditedRoutes[`${request.method} ${routeOf(request)}`]
  if (route === undefined || !isMeant(route, request.query)) return undefined
  const { caller } = request
  const user = caller?.type === 'user' ? caller : undefined
  const username = user?.username ?? (route.username === undefined ? undefined : textIn(request.body, route.username))
  return {
    id: randomUUID(),
    // When it came: what takes an hour did not begin at its end.
    createdAt: new Date(nowMs - reply.elapsedTime).toISOString(),
    userId: user?.id ?? null,
    username: username ?? null,
    usernameKey: username === undefined ? null : usernameKey(username),
    keyId: user?.key?.id ?? null,
    address: request.ip,
    ...actionOf(route, request),
    outcome: outcomeOf(status),
    status,
  }
}

function isMeant({ query = {} }: AuditedRoute, given: unknown): boolean {
  return Object.entries(query).every(([name, value]) => textIn(given, name) === value)
}

function actionOf(
  { action, target, byEnd }: AuditedRoute,
  { params, body }: FastifyRequest,
): Pick<AuditEntry, 'action' | 'target'> {
  if (target === undefined) return { action, target: null }
  if ('body' in target) {
    const named = target.body.map((name) => textIn(body, name)).find((text) => text !== undefined)
    return { action, target: named ?? null }
  }
  const found = textIn(params, target.path) ?? null
  const [, name = null, end = ''] = /^(.+)\/([^/]+)$/.exec(found ?? '') ?? []
  const ended = byEnd?.[end]
  return ended === undefined ? { action, target: found } : { action: ended, target: name }
}

/** A field that is a text; no longer than what is kept of it. */
function textIn(from: unknown, name: string): string | undefined {
  if (typeof from !== 'object' || from === null) return undefined
  const value: unknown = Object.getOwnPropertyDescriptor(from, name)?.value
  return typeof value === 'string' && value !== '' ? value.slice(0, mostCharacters) : undefined
}

// Who left before the end was told nothing; what they asked for may have been done all the same.
function outcomeOf(status: number): AuditEntry['outcome'] {
  if (status < 400) return 'done'
  return status >= 500 || status === 499 ? 'failed' : 'refused'
}
