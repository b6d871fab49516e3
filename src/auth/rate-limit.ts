import rateLimit, { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { AppError } from '../errors.ts'

export type RateLimitOptions = Readonly<{
  /** Requests to the model that one caller may make in a window. */
  requests: number
  windowSeconds: number
  /** Whose bucket a request to the model counts in. Called after the guard of the scope. */
  keyOf: (request: FastifyRequest) => string
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
const maxBuckets = 10_000

type Verdict = Awaited<ReturnType<ReturnType<FastifyInstance['createRateLimit']>>>

/**
 * Fixed windows in memory. All three throw `rate_limited` with the time to wait. The hooks also set `RateLimit-Limit`,
 * `RateLimit-Remaining` and `RateLimit-Reset` (seconds); the scope's error handler sets `Retry-After`.
 */
export async function createRateLimits(http: FastifyInstance, options: RateLimitOptions): Promise<RateLimits> {
  const { requests, windowSeconds, keyOf } = options
  await http.register(rateLimit, { global: false, cache: maxBuckets })
  const timeWindow = windowSeconds * 1000
  const general = http.createRateLimit({
    max: Math.max(generalMinimum, requests * generalFactor),
    timeWindow,
    keyGenerator: addressOf,
  })
  const generation = http.createRateLimit({ max: requests, timeWindow, keyGenerator: keyOf })
  const states = new WeakMap<FastifyRequest, RateLimitState>()

  return {
    async limitAll(request, reply) {
      if (request.routeOptions.url?.startsWith('/health') === true) return
      apply(await general(request), reply)
    },
    async limitGeneration(request, reply) {
      const verdict = await generation(request)
      if (!verdict.isAllowed) {
        const { max: limit, remaining, ttlInSeconds: resetSeconds } = verdict
        states.set(request, { limit, remaining, resetSeconds })
      }
      apply(verdict, reply)
    },
    async countGeneration(request) {
      apply(await generation(request))
    },
    stateOf: (request) => states.get(request),
  }
}

/** Where a request comes from: the address of an IPv4 caller, the /64 network of an IPv6 one (a person has all of it). */
export function addressOf(request: Pick<FastifyRequest, 'ip'>): string {
  return normalizeIP(request.ip, 64)
}

function apply(verdict: Verdict, reply?: FastifyReply): void {
  if (verdict.isAllowed) return
  const waitSeconds = Math.max(1, verdict.ttlInSeconds)
  reply?.headers({
    'ratelimit-limit': verdict.max,
    'ratelimit-remaining': verdict.remaining,
    'ratelimit-reset': waitSeconds,
  })
  if (!verdict.isExceeded) return
  const message = `Too many requests: ${verdict.max} in ${verdict.timeWindow / 1000} s are allowed. Try again in ${waitSeconds} s.`
  throw new AppError('rate_limited', message, { retryAfterSeconds: waitSeconds })
}
