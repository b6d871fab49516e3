import { Counter, type Registry } from 'prom-client'
import type { EgressEntry } from '../engine/cloud/egress.ts'

/** One label each, whatever a provider is called. */
const providers: ReadonlySet<string> = new Set(['claude', 'openai', 'custom'])

/** Counts errands outside of this machine that have ended. */
export function registerEgress(registry: Registry): (entry: EgressEntry) => void {
  const registers = [registry]
  const requests = new Counter({
    name: 'simpleia_egress_requests_total',
    help: 'Requests that left this machine; provider is "none" where no cloud model was asked.',
    labelNames: ['purpose', 'provider'],
    registers,
  })
  const bytes = new Counter({
    name: 'simpleia_egress_bytes_total',
    help: 'Bytes that left this machine (out) and came for them (in).',
    labelNames: ['direction', 'purpose'],
    registers,
  })
  const dollars = new Counter({
    name: 'simpleia_egress_cost_dollars_total',
    help: 'What cloud answers cost in US dollars, where their price is known.',
    labelNames: ['provider'],
    registers,
  })
  return ({ purpose, provider = 'none', requests: count, bytesOut, bytesIn, costMicrodollars }) => {
    const name = provider === 'none' || providers.has(provider) ? provider : 'other'
    requests.inc({ purpose, provider: name }, count)
    bytes.inc({ direction: 'out', purpose }, bytesOut)
    bytes.inc({ direction: 'in', purpose }, bytesIn)
    if (costMicrodollars !== undefined) dollars.inc({ provider: name }, costMicrodollars / 1e6)
  }
}
