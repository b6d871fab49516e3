import Anthropic from '@anthropic-ai/sdk'
import fc from 'fast-check'
import { fastify } from 'fastify'
import { expect, onTestFinished, test } from 'vitest'
import { formatDuration, toAnthropicHeaders, toOpenaiHeaders, withLimitHeaders } from '../../src/dialects/rate-limit-headers.ts'
import type { SubjectState } from '../../src/usage/meter.ts'
import { toShownLimits } from '../../src/usage/shown-limits.ts'

const nowMs = Date.UTC(2026, 0, 1, 23, 59)

function quota(kind: 'user' | 'key', limits: Partial<SubjectState['limits']>, used: Partial<SubjectState['used']>): SubjectState {
  return {
    kind,
    name: kind,
    limits: { requests: undefined, tokens: undefined, costMicros: undefined, ...limits },
    used: { requests: 0, promptTokens: 0, completionTokens: 0, costMicros: 0, ...used },
  }
}

const window = { limit: 10, remaining: 4, resetSeconds: 30 }

test('of rate limit and quotas the one that is reached first is shown, and of two that are used up the longer one', () => {
  const quotas = [
    quota('user', { requests: 100, tokens: 50 }, { requests: 97, promptTokens: 60 }),
    quota('key', { tokens: 90 }, {}),
  ]
  expect(toShownLimits({ window, quotas, pending: 1, nowMs })).toEqual({
    requests: { limit: 100, remaining: 2, resetSeconds: 60 },
    tokens: { limit: 50, remaining: 0, resetSeconds: 60 },
  })
  expect(toShownLimits({ window, quotas: [], pending: 1, nowMs })).toEqual({ requests: window, tokens: undefined })
  const usedUp = { ...window, remaining: 0 }
  const both = toShownLimits({ window: usedUp, quotas: [quota('key', { requests: 5 }, { requests: 5 })], pending: 0, nowMs })
  expect(both.requests).toEqual({ limit: 5, remaining: 0, resetSeconds: 60 })
})

test('each dialect says it in its own words', () => {
  const limits = { requests: window, tokens: { limit: 50, remaining: 7, resetSeconds: 60 } }
  expect(toOpenaiHeaders(limits, nowMs)).toEqual({
    'x-ratelimit-limit-requests': '10',
    'x-ratelimit-remaining-requests': '4',
    'x-ratelimit-reset-requests': '30s',
    'x-ratelimit-limit-tokens': '50',
    'x-ratelimit-remaining-tokens': '7',
    'x-ratelimit-reset-tokens': '1m0s',
  })
  expect(toAnthropicHeaders(limits, nowMs)).toEqual({
    'anthropic-ratelimit-requests-limit': '10',
    'anthropic-ratelimit-requests-remaining': '4',
    'anthropic-ratelimit-requests-reset': '2026-01-01T23:59:30Z',
    'anthropic-ratelimit-tokens-limit': '50',
    'anthropic-ratelimit-tokens-remaining': '7',
    'anthropic-ratelimit-tokens-reset': '2026-01-02T00:00:00Z',
  })
  for (const format of [toOpenaiHeaders, toAnthropicHeaders])
    expect(format({ requests: undefined, tokens: undefined }, nowMs)).toEqual({})
})

test('a duration of any length says its seconds', () => {
  expect([0, 1, 59, 60, 360, 3599, 3600, 86_399].map(formatDuration)).toEqual([
    '0s',
    '1s',
    '59s',
    '1m0s',
    '6m0s',
    '59m59s',
    '1h0m0s',
    '23h59m59s',
  ])
  fc.assert(
    fc.property(fc.nat(10_000_000), (seconds) => {
      const [, hours = '0', minutes = '0', rest = '0'] = /^(?:(\d+)h)?(?:(\d+)m)?(\d+)s$/.exec(formatDuration(seconds)) ?? []
      return Number(hours) * 3600 + Number(minutes) * 60 + Number(rest) === seconds
    }),
  )
})

test('the official Anthropic client gets them with its answer', async () => {
  const http = fastify()
  onTestFinished(() => http.close())
  const message = { id: 'm', type: 'message', role: 'assistant', content: [], model: 'x', stop_reason: 'end_turn', usage: {} }
  http.addHook('onRequest', async (request) => {
    request.caller = { type: 'anonymous' }
  })
  await http.register(
    withLimitHeaders(
      { findLimits: async () => ({ requests: window, tokens: undefined }), format: toAnthropicHeaders, now: () => nowMs },
      [async (scope) => void scope.post('/v1/messages', async () => message)],
    ),
  )
  const baseURL = await http.listen({ host: '127.0.0.1', port: 0 })
  const client = new Anthropic({ baseURL, apiKey: 'x', maxRetries: 0 })
  const body = { model: 'x', max_tokens: 1, messages: [{ role: 'user' as const, content: 'x' }] }
  const { response } = await client.messages.create(body).withResponse()
  expect(response.headers.get('anthropic-ratelimit-requests-remaining')).toBe('4')
  expect(response.headers.get('anthropic-ratelimit-requests-reset')).toBe('2026-01-01T23:59:30Z')
})
