import { OTLPTraceExporter } from '@opentelemetry/exporter-trace-otlp-http'
import type { SpanExporter } from '@opentelemetry/sdk-trace'
import type { Egress, EgressCall, EgressTally } from '../engine/cloud/egress.ts'
import { createCountedConnections } from './counted-connections.ts'
import type { TraceSettings } from './trace-settings.ts'

export type ExporterParts = Readonly<{
  /** The way out. Not one that is followed itself: each sending would have to be sent. */
  egress: Egress
  onSent: (outcome: 'ok' | 'failed', spans: number) => void
  /** Told why spans could not be sent, once until some could be again. */
  onFailure: (error: unknown) => void
  /** Milliseconds. */
  now: () => number
}>

/** So long all that is sent is one errand in the ledger: batches come every few seconds. */
const errandMs = 3_600_000
/** For one sending with its second try. The service waits so long for a collector that is gone when it ends, and no longer. */
const sendLimitMs = 2000

/** OpenTelemetry's exporter, which sends by HTTP and JSON, kept to the rules of the way out. */
export function createOtlpExporter({ endpoint, headers }: Pick<TraceSettings, 'endpoint' | 'headers'>, parts: ExporterParts) {
  const url = new URL(`${endpoint}/v1/traces`)
  const connections = createCountedConnections()
  const exporter = new OTLPTraceExporter({
    url: url.href,
    headers: Object.fromEntries(headers),
    timeoutMillis: sendLimitMs,
    httpAgentOptions: connections.open,
  })
  const errands = createErrands(parts)
  let isFailing = false

  function tell(outcome: 'ok' | 'failed', spans: number, error: unknown): void {
    parts.onSent(outcome, spans)
    if (outcome === 'failed' && !isFailing) parts.onFailure(error)
    isFailing = outcome === 'failed'
  }

  const counted: SpanExporter = {
    export(spans, done) {
      const sending = errands.request(url.hostname)
      sending.then(
        (tally) =>
          exporter.export(spans, (result) => {
            const { sent, received } = connections.take()
            tally.sent(sent)
            tally.received(received)
            if (result.error === undefined) tally.answered(200)
            tell(result.error === undefined ? 'ok' : 'failed', spans.length, result.error)
            done(result)
          }),
        (error: unknown) => {
          tell('failed', spans.length, error)
          done({ code: 1, error: error instanceof Error ? error : new Error(String(error)) })
        },
      )
    },
    async shutdown() {
      await exporter.shutdown()
      await errands.close()
      connections.close()
    },
  }
  return counted
}

/** One errand after the other; each is in the ledger before the first byte of it goes out. */
function createErrands({ egress, now }: Pick<ExporterParts, 'egress' | 'now'>) {
  let current: Readonly<{ call: EgressCall; since: number }> | undefined

  return {
    async request(host: string): Promise<EgressTally> {
      if (current !== undefined && now() - current.since >= errandMs) {
        const over = current
        current = undefined
        await over.call.end()
      }
      current ??= { call: egress.begin({ purpose: 'telemetry' }), since: now() }
      return current.call.request(host)
    },
    async close(): Promise<void> {
      await current?.call.end()
      current = undefined
    },
  }
}
