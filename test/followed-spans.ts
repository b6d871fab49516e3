import type { ReadableSpan, SpanExporter } from '@opentelemetry/sdk-trace'
import { openTelemetry } from '../src/observe/open-telemetry.ts'
import type { TraceSampler, TraceSettings } from '../src/observe/trace-settings.ts'

export const traceSettings: TraceSettings = {
  ...{ endpoint: '', serviceName: 's', resource: new Map<string, string>(), headers: new Map<string, string>(), version: '1' },
  ...{ sampler: 'always_on', ratio: 1, capturesContent: false },
}

export type FollowedSpan = Readonly<{ name: string; attributes: ReadableSpan['attributes']; events: readonly string[] }>

/** Tracing as the service has it, whose spans stay in memory. */
export function followSpans(given: Readonly<{ sampler?: TraceSampler; capturesContent?: boolean }> = {}) {
  const ended: ReadableSpan[] = []
  const exporter: SpanExporter = {
    export(spans, done) {
      ended.push(...spans)
      done({ code: 0 })
    },
    shutdown: async () => {},
  }
  const tracing = openTelemetry({ ...traceSettings, ...given }, exporter)
  return {
    tracing,
    /** What has ended, in this order; follows nothing more. */
    async spans(): Promise<readonly FollowedSpan[]> {
      await tracing.close()
      return ended.map(({ name, attributes, events }) => ({ name, attributes, events: events.map((event) => event.name) }))
    },
  }
}
