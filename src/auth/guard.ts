import type {} from '@fastify/cookie'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import { protocolsOf, tokenOfProtocols } from '../http/socket-protocols.ts'
import { isApiKey } from './api-keys.ts'
import { type KeyScope, refuseOutOfScope } from './key-scopes.ts'
import { isFromOwnPage } from './own-page.ts'
import { sessionCookieName, sessionCookiePlace } from './session-cookie.ts'

export type UserCaller = Readonly<{
  type: 'user'
  id: string
  username: string
  role: 'admin' | 'user'
  /** Of a login, with the time at which it ends, in milliseconds since 1970. */
  tokenId?: string
  tokenEndsAt?: number
  /** The API key that the request came with, in the place of a login. */
  key?: Readonly<{ id: string; scopes: readonly KeyScope[] }>
}>
/** Who sent the request. */
export type Caller = UserCaller | Readonly<{ type: 'anonymous' }>

declare module 'fastify' {
  interface FastifyRequest {
    /** Set by the guard of the scope; absent in the public scope. */
    caller: Caller
  }
}

export type GuardHook = (request: FastifyRequest, reply: FastifyReply) => Promise<void>

/** The hooks that http/server.ts hangs on its scopes as `onRequest`; on WebSocket routes they run before the handshake is answered. */
export interface Guard {
  /**
   * A good token or API key. Throws `unauthorized`, and `forbidden` when another site's page makes use of the cookie, or for a key
   * that lacks the scope of the route.
   */
  requireUser: GuardHook
  /** A good token or API key of an admin. Throws as `requireUser`, and `forbidden` for other users. */
  requireAdmin: GuardHook
  /** A good token or API key, or none where anonymous callers are allowed. One that is not good is refused, not overlooked. */
  allowCaller: GuardHook
  /** Asks again, for a connection that stays open: false after logout, expiry, a password change, a new role or deletion (of user or key). */
  isStillValid(caller: Caller): Promise<boolean>
}

export type GuardOptions = Readonly<{
  /** Who holds a token or an API key. */
  findCaller: (token: string) => Promise<UserCaller | undefined>
  allowAnonymous: boolean
  /** Whether the cookie goes over https alone, as in production. */
  secureCookie?: boolean
  /** Origins besides our own whose pages may use the cookie (CORS_ORIGINS). */
  allowedOrigins?: readonly string[]
}>

const howToOffer = 'Send it in the header "Authorization", or, from a page, as a protocol beside "simpleia": "bearer.<token>".'

const anonymous: Caller = Object.freeze({ type: 'anonymous' })

export function createGuard({ findCaller, allowAnonymous, secureCookie = false, allowedOrigins = [] }: GuardOptions): Guard {
  const cookieName = sessionCookieName(secureCookie)
  // Beside the caller and not in it, so that no log or answer can hold a token.
  const tokenOfCaller = new WeakMap<Caller, string>()

  async function identify(request: FastifyRequest, reply: FastifyReply): Promise<UserCaller | undefined> {
    if (hasTokenInAddress(request))
      throw unauthorized(reply, `A token is not taken from the address, where logs would keep it. ${howToOffer}`)
    const credential = findCredential(request, cookieName)
    // The browser sends the cookie for any page that asks it to; what else there is only comes from who knows the token.
    if (credential?.source === 'cookie' && mayChangeState(request)) refuseForeignPage(request, allowedOrigins)
    // Clients of other services send placeholders as key ("ollama", "sk-none"): only what looks like ours is one.
    if (credential === undefined || !looksLikeOurs(credential)) return undefined
    const caller = await findCaller(credential.token)
    if (caller === undefined) {
      if (credential.source === 'cookie') reply.clearCookie(cookieName, sessionCookiePlace(secureCookie))
      throw unauthorized(
        reply,
        isApiKey(credential.token)
          ? 'This API key is not valid, or no longer: it was deleted, it has expired, or it never was one.'
          : 'This token is not valid, or no longer. Log in again.',
      )
    }
    // Before it is decided whether they may: the audit names who was refused, too.
    request.caller = caller
    if (caller.key !== undefined) refuseOutOfScope(request, caller.key.scopes)
    tokenOfCaller.set(caller, credential.token)
    return caller
  }

  async function identifyUser(request: FastifyRequest, reply: FastifyReply): Promise<UserCaller> {
    const caller = await identify(request, reply)
    if (caller === undefined)
      throw unauthorized(reply, 'This needs a token or an API key: log in, then send "Authorization: Bearer <token>".')
    return caller
  }

  return {
    async requireUser(request, reply) {
      request.caller = await identifyUser(request, reply)
    },
    async requireAdmin(request, reply) {
      const caller = await identifyUser(request, reply)
      if (caller.role !== 'admin') throw new AppError('forbidden', 'Only an admin may do this.')
      request.caller = caller
    },
    async allowCaller(request, reply) {
      request.caller = allowAnonymous ? ((await identify(request, reply)) ?? anonymous) : await identifyUser(request, reply)
    },
    async isStillValid(caller) {
      if (caller.type === 'anonymous') return allowAnonymous
      const token = tokenOfCaller.get(caller)
      return token !== undefined && (await findCaller(token)) !== undefined
    },
  }
}

/** The user behind a request of the user or admin scope. */
export function userOf({ caller }: FastifyRequest): UserCaller {
  if (caller?.type !== 'user') throw new AppError('internal', 'A route that needs a user is mounted without its guard.')
  return caller
}

type Credential = Readonly<{ token: string; source: 'header' | 'protocol' | 'cookie' }>

/** The most deliberate one counts: header, then (for WebSockets, where browsers can set no other) the protocols, then cookie. */
function findCredential(request: FastifyRequest, cookieName: string): Credential | undefined {
  const inHeader = findInHeaders(request)
  if (inHeader !== undefined) return inHeader
  const offered = isHandshake(request) ? tokenOfProtocols(protocolsOf(request.headers)) : undefined
  if (offered !== undefined) return { token: offered, source: 'protocol' }
  const kept = request.cookies?.[cookieName]
  return kept === undefined || kept === '' ? undefined : { token: kept, source: 'cookie' }
}

/** Of two, a placeholder in one does not hide the key in the other. */
function findInHeaders({ headers }: FastifyRequest): Credential | undefined {
  const [, bearer = ''] = /^bearer +(\S+) *$/i.exec(headers.authorization ?? '') ?? []
  // Where clients of Anthropic's API put it.
  const { 'x-api-key': key = '' } = headers
  const given = [bearer, String(key)].filter((token) => token !== '').map((token): Credential => ({ token, source: 'header' }))
  return given.find(looksLikeOurs) ?? given[0]
}

/** Without this, who is refused or taken for nobody would look for the reason in the token. */
function hasTokenInAddress(request: FastifyRequest): boolean {
  const { query } = request
  return isHandshake(request) && typeof query === 'object' && query !== null && 'access_token' in query
}

/** A login's token; or an API key, which no browser keeps as a cookie. */
function looksLikeOurs({ token, source }: Credential): boolean {
  return token.split('.').length === 3 || (source !== 'cookie' && isApiKey(token))
}

function isHandshake(request: FastifyRequest): boolean {
  return request.headers.upgrade?.toLowerCase() === 'websocket'
}

// A WebSocket opens with a GET, and what is sent over it later does the changing.
function mayChangeState(request: FastifyRequest): boolean {
  return isHandshake(request) || (request.method !== 'GET' && request.method !== 'HEAD' && request.method !== 'OPTIONS')
}

function refuseForeignPage({ headers }: FastifyRequest, allowedOrigins: readonly string[]): void {
  if (isFromOwnPage(headers, allowedOrigins)) return
  throw new AppError(
    'forbidden',
    'Another site sent this request. Send the token in the "Authorization" header, or add the site to CORS_ORIGINS.',
  )
}

function unauthorized(reply: FastifyReply, message: string): AppError {
  reply.header('www-authenticate', 'Bearer realm="simpleia"')
  return new AppError('unauthorized', message)
}
