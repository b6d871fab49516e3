import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import type {} from '../auth/guard.ts'

/** A limit as the caller meets it. */
export type ShownLimit = Readonly<{ limit: number; remaining: number; resetSeconds: number }>
/** The limits that hold for a request: of several the one that is reached first. Undefined: none. */
export type ShownLimits = Readonly<{ requests: ShownLimit | undefined; tokens: ShownLimit | undefined }>

/** How a dialect says it. */
export type FormatLimits = (limits: ShownLimits, nowMs: number) => Readonly<Record<string, string>>

/** OpenAI's: `x-ratelimit-limit-requests: 60`, `x-ratelimit-remaining-requests: 59`, `x-ratelimit-reset-requests: 6m0s`. */
export const toOpenaiHeaders: FormatLimits = (limits) =>
  headersOf(limits, (kind, { limit, remaining, resetSeconds }) => ({
    [`x-ratelimit-limit-${kind}`]: String(limit),
    [`x-ratelimit-remaining-${kind}`]: String(remaining),
    [`x-ratelimit-reset-${kind}`]: formatDuration(resetSeconds),
  }))

/** Anthropic's: `anthropic-ratelimit-requests-limit`, `…-remaining`, and `…-reset` as a time of RFC 3339. */
export const toAnthropicHeaders: FormatLimits = (limits, nowMs) =>
  headersOf(limits, (kind, { limit, remaining, resetSeconds }) => ({
    [`anthropic-ratelimit-${kind}-limit`]: String(limit),
    [`anthropic-ratelimit-${kind}-remaining`]: String(remaining),
    [`anthropic-ratelimit-${kind}-reset`]: new Date(nowMs + resetSeconds * 1000).toISOString().replace(/\.\d+Z$/, 'Z'),
  }))

function headersOf(
  limits: ShownLimits,
  format: (kind: 'requests' | 'tokens', limit: ShownLimit) => Readonly<Record<string, string>>,
): Readonly<Record<string, string>> {
  const { requests, tokens } = limits
  return {
    ...(requests === undefined ? {} : format('requests', requests)),
    ...(tokens === undefined ? {} : format('tokens', tokens)),
  }
}

/** As Go writes it: `1s`, `6m0s`, `23h59m59s`. */
export function formatDuration(wholeSeconds: number): string {
  const [hours, minutes, seconds] = [Math.floor(wholeSeconds / 3600), Math.floor(wholeSeconds / 60) % 60, wholeSeconds % 60]
  if (hours > 0) return `${hours}h${minutes}m${seconds}s`
  return minutes > 0 ? `${minutes}m${seconds}s` : `${seconds}s`
}

export type LimitHeadersOptions = Readonly<{
  /** `willCount`: the request is let in, but not counted yet. */
  findLimits: (request: FastifyRequest, state: Readonly<{ willCount: boolean }>) => Promise<ShownLimits>
  format: FormatLimits
  /** Milliseconds since 1970. */
  now: () => number
}>

/** Routes whose answers, streams and errors too, say what their caller may still send. */
export function withLimitHeaders(
  { findLimits, format, now }: LimitHeadersOptions,
  plugins: readonly FastifyPluginAsync[],
): FastifyPluginAsync {
  const shown = new WeakSet<FastifyRequest>()
  async function show(request: FastifyRequest, reply: FastifyReply, willCount: boolean): Promise<void> {
    // Before the guard nobody knows who asks.
    if (request.method !== 'POST' || request.caller === undefined || shown.has(request)) return
    shown.add(request)
    reply.headers(format(await findLimits(request, { willCount }), now()))
  }
  return async (http) => {
    // Not onSend alone: a stream sends its headers without it.
    http.addHook('preHandler', (request, reply) => show(request, reply, true))
    http.addHook('onSend', async (request, reply) => void (await show(request, reply, false)))
    for (const plugin of plugins) await http.register(plugin)
  }
}
