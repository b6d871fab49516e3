import { normalizeIP } from '@fastify/rate-limit'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'
import type { OpenWindows, WindowState } from './windows.ts'

export type RateLimitOptions = Readonly<{
  /** Requests to the model that one caller may make in a window. */
  requests: number
  windowSeconds: number
  /** Whose bucket a request to the model counts in. Called after the guard of the scope. */
  keyOf: (request: FastifyRequest) => string
  /** Where it is counted. */
  windows: OpenWindows
}>

export interface RateLimits {
  /** Hook for every request, 404s too: generous, by address, before anybody is asked who they are. Health checks are free. */
  limitAll(request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** Hook for each endpoint that makes the model work. */
  limitGeneration(request: FastifyRequest, reply: FastifyReply): Promise<void>
  /** The same bucket, for one more request on a socket that is open already. */
  countGeneration(request: FastifyRequest): Promise<void>
  /** What the bucket held after the request was counted in it; undefined for one that was not. */
  stateOf(request: FastifyRequest): RateLimitState | undefined
}

export type RateLimitState = Readonly<{ limit: number; remaining: number; resetSeconds: number }>

/** How many requests of any kind one address may send in a window, at least. */
const generalMinimum = 1000
const generalFactor = 20
/** Buckets kept; the least recently used goes first. */
const maxKeys = 10_000

/**
 * Fixed windows. All three throw `rate_limited` with the time to wait. The hooks also set `RateLimit-Limit`, `RateLimit-Remaining` and
 * `RateLimit-Reset` (seconds); the scope's error handler sets `Retry-After`.
 */
export function createRateLimits({ requests, windowSeconds, keyOf, windows }: RateLimitOptions): RateLimits {
  const windowMs = windowSeconds * 1000
  const general = windows('requests', { windowMs, maxKeys })
  const generations = windows('generations', { windowMs, maxKeys })
  const generalLimit = Math.max(generalMinimum, requests * generalFactor)
  const states = new WeakMap<FastifyRequest, RateLimitState>()

  async function countGeneration(request: FastifyRequest, reply?: FastifyReply): Promise<void> {
    const window = await generations.add(keyOf(request))
    states.set(request, toState(window, requests))
    refusePast(window, { limit: requests, windowSeconds }, reply)
  }

  return {
    async limitAll(request, reply) {
      if (request.routeOptions.url?.startsWith('/health') === true) return
      refusePast(await general.add(addressOf(request)), { limit: generalLimit, windowSeconds }, reply)
    },
    limitGeneration: countGeneration,
    countGeneration: (request) => countGeneration(request),
    stateOf: (request) => states.get(request),
  }
}

/** Where a request comes from: the address of an IPv4 caller, the /64 network of an IPv6 one (a person has all of it). */
export function addressOf(request: Pick<FastifyRequest, 'ip'>): string {
  return normalizeIP(request.ip, 64)
}

function toState({ count, leftMs }: WindowState, limit: number): RateLimitState {
  return { limit, remaining: Math.max(0, limit - count), resetSeconds: Math.ceil(leftMs / 1000) }
}

type Limit = Readonly<{ limit: number; windowSeconds: number }>

function refusePast(window: WindowState, { limit, windowSeconds }: Limit, reply?: FastifyReply): void {
  const { remaining, resetSeconds } = toState(window, limit)
  const waitSeconds = Math.max(1, resetSeconds)
  reply?.headers({ 'ratelimit-limit': limit, 'ratelimit-remaining': remaining, 'ratelimit-reset': waitSeconds })
  if (window.count <= limit) return
  const message = `Too many requests: ${limit} in ${windowSeconds} s are allowed. Try again in ${waitSeconds} s.`
  throw new AppError('rate_limited', message, { retryAfterSeconds: waitSeconds })
}
