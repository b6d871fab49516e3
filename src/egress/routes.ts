import type { FastifyPluginAsync } from 'fastify'
import type { Static } from 'typebox'
import { AppError } from '../errors.ts'
import type { Ledger, LedgerFilter, LedgerItem, LedgerTotals } from './ledger.ts'
import { type EgressItem, type EgressPage, egressPage, egressQuery } from './schema.ts'

export type EgressRoutesOptions = Readonly<{ ledger: Pick<Ledger, 'list' | 'sum'>; localOnly: boolean }>

/** GET /admin/egress, for the admin scope. */
export function egressRoutes({ ledger, localOnly }: EgressRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const schema = {
      summary: 'What left this machine: each errand, newest first, and their sums',
      tags: ['admin'],
      querystring: egressQuery,
      response: { 200: egressPage },
    }
    http.get<{ Querystring: Static<typeof egressQuery> }>('/admin/egress', { schema }, async ({ query }): Promise<EgressPage> => {
      const { limit, cursor, from, to, ...given } = query
      const filter: LedgerFilter = {
        ...given,
        ...(from === undefined ? {} : { from: readTime('from', from) }),
        ...(to === undefined ? {} : { to: endOf(readTime('to', to), to) }),
      }
      const { items, nextCursor } = await ledger.list({ ...filter, limit, cursor })
      const totals = toTotals(await ledger.sum(filter))
      return { items: items.map(toItem), next_cursor: nextCursor ?? null, local_only: localOnly, totals }
    })
  }
}

const day = /^\d{4}-\d\d-\d\d$/
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/

function readTime(field: string, text: string): string {
  if ((day.test(text) || time.test(text)) && !Number.isNaN(Date.parse(text))) return new Date(text).toISOString()
  const expected = 'a day or a time with its zone, such as 2026-03-01 or 2026-03-01T12:00:00Z'
  const details = [{ field, expected, got: JSON.stringify(text) }]
  throw new AppError('invalid', `"${field}" must be ${expected}, but is "${text}".`, { details })
}

/** A day reaches to its end, in UTC. */
function endOf(start: string, text: string): string {
  return day.test(text) ? new Date(Date.parse(start) + 24 * 3600_000).toISOString() : start
}

function toItem(item: LedgerItem): EgressItem {
  return {
    id: item.id,
    started_at: item.startedAt,
    state: item.state,
    purpose: item.purpose,
    user: item.requestedBy,
    username: item.username,
    provider: item.provider,
    model: item.model,
    hosts: JSON.parse(item.hosts),
    requests: item.requests,
    status: item.status,
    bytes_out: item.bytesOut,
    bytes_in: item.bytesIn,
    prompt_tokens: item.promptTokens,
    completion_tokens: item.completionTokens,
    cached_prompt_tokens: item.cachedPromptTokens,
    cost_microdollars: item.costMicrodollars,
    duration_ms: item.durationMs,
  }
}

function toTotals(totals: LedgerTotals): EgressPage['totals'] {
  return {
    errands: totals.errands,
    requests: totals.requests,
    bytes_out: totals.bytesOut,
    bytes_in: totals.bytesIn,
    prompt_tokens: totals.promptTokens,
    completion_tokens: totals.completionTokens,
    cost_microdollars: totals.costMicrodollars,
    unpriced_answers: totals.unpricedAnswers,
  }
}
