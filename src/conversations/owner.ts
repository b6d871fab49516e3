import { createHash, randomBytes } from 'node:crypto'
import type {} from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type {} from '../auth/guard.ts'

/** Whose conversations and presets: those of a user, or of the browser of somebody without an account. */
export type Owner = Readonly<{ column: 'ownerId' | 'visitor'; value: string }>

/** Known to one browser alone, and to no script in it; over https no other host of the domain can plant one. */
const visitorCookieName = (secure: boolean) => (secure ? '__Host-simpleia_visitor' : 'simpleia_visitor')

/** As long as browsers keep a cookie. */
export const visitorDays = 400

const shape = /^[A-Za-z0-9_-]{43}$/

export type Owners = Readonly<{
  /** Undefined for somebody without an account who has nothing yet. */
  find(request: FastifyRequest): Owner | undefined
  /** As `find`; a browser keeps what it is known by for longer. */
  findAndKeep(request: FastifyRequest, reply: FastifyReply): Owner | undefined
  /** Gives the browser of somebody without an account what it is known by, or for longer what it has. */
  open(request: FastifyRequest, reply: FastifyReply): Owner
}>

/** `production`: the cookie goes over https only. */
export function createOwners({ production }: Readonly<{ production: boolean }>): Owners {
  const cookieName = visitorCookieName(production)
  const visitorOf = ({ cookies }: FastifyRequest): string | undefined => {
    const visitor = cookies[cookieName]
    return visitor !== undefined && shape.test(visitor) ? visitor : undefined
  }
  const keep = (reply: FastifyReply, visitor: string) =>
    reply.setCookie(cookieName, visitor, {
      httpOnly: true,
      sameSite: 'lax',
      secure: production,
      path: '/',
      maxAge: visitorDays * 24 * 60 * 60,
    })
  const find = (request: FastifyRequest): Owner | undefined => {
    const { caller } = request
    if (caller.type === 'user') return { column: 'ownerId', value: caller.id }
    const visitor = visitorOf(request)
    return visitor === undefined ? undefined : toOwner(visitor)
  }
  return {
    find,
    findAndKeep(request, reply) {
      const visitor = request.caller.type === 'user' ? undefined : visitorOf(request)
      if (visitor !== undefined) keep(reply, visitor)
      return find(request)
    },
    open(request, reply) {
      const { caller } = request
      if (caller.type === 'user') return { column: 'ownerId', value: caller.id }
      const visitor = visitorOf(request) ?? randomBytes(32).toString('base64url')
      keep(reply, visitor)
      return toOwner(visitor)
    },
  }
}

/** Who reads the database is nobody's browser. */
const toOwner = (visitor: string): Owner => ({
  column: 'visitor',
  value: createHash('sha256').update(visitor).digest('hex'),
})
