import type { FastifyRequest } from 'fastify'
import { addressOf } from './auth/rate-limit.ts'
import type { Asker } from './predict/predict.ts'

/** A user has one queue turn, cache and ledger, wherever they ask from; someone without a name has those of their address. */
export function askerOf(request: FastifyRequest): Asker {
  const { caller } = request
  if (caller.type === 'user') return { key: `user:${caller.id}`, authenticated: true, userId: caller.id, keyId: caller.key?.id }
  return { key: `address:${addressOf(request)}`, authenticated: false, userId: undefined, keyId: undefined }
}

/** Who asks, for the ledger of what leaves this machine. */
export const userOf = (request: FastifyRequest): string => askerOf(request).key

/** Each API key has a rate limit of its own. */
export function bucketOf(request: FastifyRequest): string {
  const { key, keyId } = askerOf(request)
  return keyId === undefined ? key : `key:${keyId}`
}

/** Whether the caller may change the service, by role and, with an API key, by the key's scopes. */
export function isAdmin({ caller }: FastifyRequest): boolean {
  return caller.type === 'user' && caller.role === 'admin' && (caller.key === undefined || caller.key.scopes.includes('admin'))
}
