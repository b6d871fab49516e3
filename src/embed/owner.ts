import type { FastifyRequest } from 'fastify'
import type {} from '../auth/guard.ts'
import type { Owner } from './collection.ts'

/** Whose collections a request means: those of its user, or those without an owner. */
export function ownerOf({ caller }: FastifyRequest): Owner {
  return caller.type === 'user' ? caller.id : null
}
