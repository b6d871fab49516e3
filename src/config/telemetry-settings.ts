import { decimal, type Kind, oneOf, text, url, yesOrNo } from './kinds.ts'
import type { Setting } from './setting.ts'

/** `name=value` pairs parted by commas; values may be percent-encoded, as OpenTelemetry writes them. */
const encodedPairs: Kind<ReadonlyMap<string, string>> = {
  expected: { en: 'pairs such as name=value, parted by commas', es: 'pares como nombre=valor, separados por comas' },
  parse(raw) {
    const pairs = raw.split(',').flatMap((item) => (item.trim() === '' ? [] : [readPair(item)]))
    return pairs.every((pair) => pair !== undefined) ? new Map(pairs) : undefined
  },
}

function readPair(item: string): readonly [string, string] | undefined {
  const [, name, value] = /^\s*([\w.-]{1,200})\s*=(.*)$/s.exec(item) ?? []
  if (name === undefined || value === undefined) return undefined
  try {
    return [name, decodeURIComponent(value.trim())]
  } catch {
    return undefined
  }
}

/** As instrumentations of OpenTelemetry read it: both its older and its newer values. */
const captures: Kind<boolean> = {
  expected: { en: 'true, false, NO_CONTENT or SPAN_ONLY', es: 'true, false, NO_CONTENT o SPAN_ONLY' },
  parse: (raw) => (/^span_only$/i.test(raw) ? true : /^no_content$/i.test(raw) ? false : yesOrNo.parse(raw)),
}

export const traceSamplers = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const

/** The variables are those of OpenTelemetry. */
export const telemetrySettings = {
  otelEndpoint: {
    env: 'OTEL_EXPORTER_OTLP_ENDPOINT',
    group: 'telemetry',
    kind: url('https', 'http'),
    default: undefined,
    defaultText: { en: 'none: no traces', es: 'ninguna: sin trazas' },
    help: {
      en: 'Collector that traces are sent to by OTLP over HTTP: http://127.0.0.1:4318. With LOCAL_ONLY it must be this machine or a private address.',
      es: 'Colector al que se envían las trazas por OTLP sobre HTTP: http://127.0.0.1:4318. Con LOCAL_ONLY debe ser esta máquina o una dirección privada.',
    },
  },
  otelHeaders: {
    env: 'OTEL_EXPORTER_OTLP_HEADERS',
    group: 'telemetry',
    kind: encodedPairs,
    default: new Map<string, string>(),
    defaultText: { en: 'none', es: 'ninguno' },
    secret: true,
    help: { en: 'Headers for the collector, such as its key.', es: 'Cabeceras para el colector, como su clave.' },
  },
  otelServiceName: {
    env: 'OTEL_SERVICE_NAME',
    group: 'telemetry',
    kind: text(),
    default: 'simpleia',
    help: { en: 'What the service is called in traces.', es: 'Cómo se llama el servicio en las trazas.' },
  },
  otelResourceAttributes: {
    env: 'OTEL_RESOURCE_ATTRIBUTES',
    group: 'telemetry',
    kind: encodedPairs,
    default: new Map<string, string>(),
    defaultText: { en: 'none', es: 'ninguno' },
    help: {
      en: 'More that traces tell of the service: deployment.environment.name=production,service.instance.id=a.',
      es: 'Más datos del servicio en las trazas: deployment.environment.name=production,service.instance.id=a.',
    },
  },
  otelTracesSampler: {
    env: 'OTEL_TRACES_SAMPLER',
    group: 'telemetry',
    kind: oneOf(...traceSamplers),
    default: 'parentbased_always_on',
    help: {
      en: 'Which requests are followed; parentbased: as the caller says in traceparent, where it says so.',
      es: 'Qué peticiones se siguen; parentbased: lo que diga quien llama en traceparent, si lo dice.',
    },
  },
  otelTracesSamplerArg: {
    env: 'OTEL_TRACES_SAMPLER_ARG',
    group: 'telemetry',
    kind: decimal({ minimum: 0, maximum: 1 }),
    default: 1,
    help: { en: 'Share of requests for the samplers by ratio.', es: 'Proporción de peticiones para los muestreos por ratio.' },
  },
  otelCaptureContent: {
    env: 'OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT',
    group: 'telemetry',
    kind: captures,
    default: false,
    help: {
      en: 'Do traces hold prompts and answers? With LOCAL_ONLY only on their way to this machine.',
      es: '¿Llevan las trazas las peticiones y las respuestas? Con LOCAL_ONLY, solo si van a esta máquina.',
    },
  },
  otelSdkDisabled: {
    env: 'OTEL_SDK_DISABLED',
    group: 'telemetry',
    kind: yesOrNo,
    default: false,
    help: { en: 'Switches traces off, whatever else is set.', es: 'Desactiva las trazas, diga lo que diga el resto.' },
  },
} as const satisfies Record<string, Setting>
