import type { FastifyBaseLogger } from 'fastify'
import type { Config } from './config.ts'
import type { Egress } from './engine/cloud/egress.ts'
import type { Metrics } from './metrics/metrics.ts'
import { noTracing, type Tracing } from './observe/tracing.ts'

export type TracingParts = Readonly<{
  egress: Egress
  metrics: Pick<Metrics, 'tracesSent'>
  version: string
  now: () => number
  /** Looked up when there is something to tell. */
  log: () => Pick<FastifyBaseLogger, 'warn'>
}>

/** Follows requests where the settings say whereto; otherwise neither OpenTelemetry's SDK nor its exporter is loaded. A part of the composition root. */
export async function openTracing(config: Config, parts: TracingParts): Promise<Tracing> {
  const { otelEndpoint: endpoint } = config
  if (endpoint === undefined || config.otelSdkDisabled) return noTracing
  const [{ openTelemetry }, { createOtlpExporter }] = await Promise.all([
    import('./observe/open-telemetry.ts'),
    import('./observe/otlp-exporter.ts'),
  ])
  const settings = {
    endpoint,
    headers: config.otelHeaders,
    serviceName: config.otelServiceName,
    resource: config.otelResourceAttributes,
    sampler: config.otelTracesSampler,
    ratio: config.otelTracesSamplerArg,
    capturesContent: config.otelCaptureContent,
    version: parts.version,
  }
  const exporter = createOtlpExporter(settings, {
    egress: parts.egress,
    onSent: parts.metrics.tracesSent,
    onFailure: (error) => parts.log().warn({ err: error }, 'Traces cannot be sent to OTEL_EXPORTER_OTLP_ENDPOINT'),
    now: parts.now,
  })
  return openTelemetry(settings, exporter)
}
