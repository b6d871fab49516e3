import type { FastifyPluginAsync } from 'fastify'
import type { Static } from 'typebox'
import { readPeriod } from '../http/read-time.ts'
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
      const period = readPeriod({ ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) })
      const filter: LedgerFilter = { ...given, ...period }
      const { items, nextCursor } = await ledger.list({ ...filter, limit, cursor })
      const totals = toTotals(await ledger.sum(filter))
      return { items: items.map(toItem), next_cursor: nextCursor ?? null, local_only: localOnly, totals }
    })
  }
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
