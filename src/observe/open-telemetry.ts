import {
  type Context,
  createTraceState,
  type Span as OpenSpan,
  ROOT_CONTEXT,
  SpanKind,
  SpanStatusCode,
  type Tracer,
  trace,
} from '@opentelemetry/api'
import { AsyncLocalStorageContextManager } from '@opentelemetry/context-async-hooks'
import { defaultResource, resourceFromAttributes } from '@opentelemetry/resources'
import {
  AlwaysOffSampler,
  AlwaysOnSampler,
  BatchSpanProcessor,
  ParentBasedSampler,
  type Sampler,
  type SpanExporter,
  TraceIdRatioBasedSampler,
  TracerProvider,
} from '@opentelemetry/sdk-trace'
import { readTraceParent, writeTraceParent } from './trace-parent.ts'
import type { TraceSettings } from './trace-settings.ts'
import type { Attributes, Carrier, Span, SpanOptions, Tracing } from './tracing.ts'

// All of OpenTelemetry is loaded by this file and by otlp-exporter.ts alone, which are loaded where traces are sent.

/** Characters of one attribute; what is longer is cut. */
const mostCharacters = 65_536
/** Spans that wait to be sent; more are dropped. */
const mostWaiting = 4096
const mostAtOnce = 512
const sendEveryMs = 2000

/** Follows requests by OpenTelemetry. Nothing is registered globally: several services in one process do not disturb each other. */
export function openTelemetry(settings: TraceSettings, exporter: SpanExporter): Tracing {
  const processor = new BatchSpanProcessor({
    exporter,
    maxQueueSize: mostWaiting,
    maxExportBatchSize: mostAtOnce,
    scheduledDelayMillis: sendEveryMs,
  })
  const provider = new TracerProvider({
    resource: resourceOf(settings),
    sampler: samplerOf(settings),
    spanLimits: { attributeValueLengthLimit: mostCharacters },
    spanProcessors: [processor],
  })
  const contexts = new AsyncLocalStorageContextManager()
  const tracer = provider.getTracer('simpleia', settings.version)
  const start = (name: string, options: SpanOptions | undefined, parent: Context) =>
    createSpan({ tracer, contexts, parent }, name, options)
  return {
    isOn: true,
    capturesContent: settings.capturesContent,
    start: (name, options) => start(name, options, contexts.active()),
    startFrom: (carrier, name, options) => start(name, options, contextFrom(carrier)),
    ids() {
      const known = trace.getSpanContext(contexts.active())
      if (known === undefined) return undefined
      return { trace_id: known.traceId, span_id: known.spanId, trace_flags: toHex(known.traceFlags) }
    },
    close: () => provider.shutdown().catch(() => {}),
  }
}

type Surroundings = Readonly<{ tracer: Tracer; contexts: AsyncLocalStorageContextManager; parent: Context }>

const kinds = { internal: SpanKind.INTERNAL, server: SpanKind.SERVER, client: SpanKind.CLIENT } as const

function createSpan({ tracer, contexts, parent }: Surroundings, name: string, options: SpanOptions = {}): Span {
  const { kind = 'internal', attributes = {} } = options
  const span = tracer.startSpan(name, { kind: kinds[kind], attributes: known(attributes) }, parent)
  const inside = trace.setSpan(parent, span)
  return {
    set: (more) => void span.setAttributes(known(more)),
    event: (event, more) => void span.addEvent(event, known(more)),
    fail(code) {
      span.setAttribute('error.type', code)
      span.setStatus({ code: SpanStatusCode.ERROR, message: code })
    },
    part(part, { startMs, endMs }, more = {}) {
      tracer.startSpan(part, { startTime: startMs, attributes: known(more) }, inside).end(endMs)
    },
    within: (work) => contexts.with(inside, work),
    headers: () => headersOf(span),
    end: () => span.end(),
  }
}

function known(attributes: Attributes) {
  return Object.fromEntries(
    Object.entries(attributes).flatMap(([name, value]) => {
      if (value === undefined) return []
      return [[name, typeof value === 'object' ? [...value] : value] as const]
    }),
  )
}

function headersOf(span: OpenSpan): Readonly<Record<string, string>> {
  const { traceId, spanId, traceFlags, traceState } = span.spanContext()
  const state = traceState?.serialize() ?? ''
  const traceparent = writeTraceParent({ traceId, spanId, flags: toHex(traceFlags) })
  return { traceparent, ...(state === '' ? {} : { tracestate: state }) }
}

const toHex = (flags: number) => flags.toString(16).padStart(2, '0')

function contextFrom({ traceparent, tracestate }: Carrier): Context {
  const parent = typeof traceparent === 'string' ? readTraceParent(traceparent) : undefined
  if (parent === undefined) return ROOT_CONTEXT
  // One that is too long, or none, has nothing in it.
  const state = typeof tracestate === 'string' ? createTraceState(tracestate) : undefined
  const { traceId, spanId, flags } = parent
  const more = state === undefined ? {} : { traceState: state }
  return trace.setSpanContext(ROOT_CONTEXT, { traceId, spanId, traceFlags: flags, isRemote: true, ...more })
}

function resourceOf({ serviceName, version, resource }: TraceSettings) {
  const told = { ...Object.fromEntries(resource), 'service.name': serviceName, 'service.version': version }
  return defaultResource().merge(resourceFromAttributes(told))
}

function samplerOf({ sampler, ratio }: TraceSettings): Sampler {
  const parentBased = (root: Sampler) => new ParentBasedSampler({ root })
  switch (sampler) {
    case 'always_on':
      return new AlwaysOnSampler()
    case 'always_off':
      return new AlwaysOffSampler()
    case 'traceidratio':
      return new TraceIdRatioBasedSampler(ratio)
    case 'parentbased_always_on':
      return parentBased(new AlwaysOnSampler())
    case 'parentbased_always_off':
      return parentBased(new AlwaysOffSampler())
    case 'parentbased_traceidratio':
      return parentBased(new TraceIdRatioBasedSampler(ratio))
  }
}
