import type { Egress, EgressIntent } from '../engine/cloud/egress.ts'
import { isOwnNetwork } from '../engine/cloud/own-network.ts'
import { traced } from './traced.ts'
import type { Tracing } from './tracing.ts'

/**
 * The same way out, whose requests are followed. Servers of the operator's own network are told the trace, so that theirs can go on with
 * it; nobody else is.
 */
export function traceEgress(egress: Egress, tracing: Tracing): Egress {
  if (!tracing.isOn) return egress
  return {
    begin(intent) {
      const call = egress.begin(intent)
      return { ...call, fetch: followRequests(call.fetch, intent, tracing) }
    },
  }
}

type Fetch = typeof globalThis.fetch

function followRequests(send: Fetch, { purpose, provider }: EgressIntent, tracing: Tracing): Fetch {
  return (input, init = {}) => {
    const url = new URL(input instanceof Request ? input.url : input)
    const method = init.method ?? (input instanceof Request ? input.method : 'GET')
    const attributes = {
      'http.request.method': method,
      'server.address': url.hostname,
      'server.port': Number(url.port === '' ? (url.protocol === 'https:' ? 443 : 80) : url.port),
      'simpleia.egress.purpose': purpose,
      'simpleia.provider': provider,
    }
    return traced(tracing, method, { kind: 'client', attributes }, async (span) => {
      const headers = new Headers(init.headers ?? (input instanceof Request ? input.headers : undefined))
      if (isOwnNetwork(url.hostname)) for (const [name, value] of Object.entries(span.headers())) headers.set(name, value)
      const response = await send(input, { ...init, headers })
      span.set({ 'http.response.status_code': response.status })
      if (response.status >= 400) span.fail(String(response.status))
      return response
    })
  }
}
