/** What a span tells of its work. Undefined: not known. */
export type Attributes = Readonly<Record<string, string | number | boolean | readonly string[] | undefined>>

export type SpanOptions = Readonly<{
  /** `server`: answers a request; `client`: asks another process or machine. Default: neither. */
  kind?: 'internal' | 'server' | 'client'
  attributes?: Attributes
}>

/** What ties a line of the log to a trace. */
export type TraceIds = Readonly<{ trace_id: string; span_id: string; trace_flags: string }>

/** Some work of the service, from its begin to its end. */
export interface Span {
  set(attributes: Attributes): void
  /** Something that happened at one moment of it. */
  event(name: string, attributes: Attributes): void
  /** It did not do what it should; `code` is one of few. */
  fail(code: string): void
  /** A part of it that is over; times are milliseconds since 1970. */
  part(name: string, times: Readonly<{ startMs: number; endMs: number }>, attributes?: Attributes): void
  /** Does work whose spans are parts of this one. */
  within<T>(work: () => T): T
  /** What tells another service of the trace (W3C Trace Context). */
  headers(): Readonly<Record<string, string>>
  /** To be called once. */
  end(): void
}

/** What another service told of a trace: header fields by their name, in lower case. */
export type Carrier = Readonly<Record<string, string | readonly string[] | undefined>>

/** Follows requests through the service. */
export interface Tracing {
  /** False: nothing is followed, and none of the spans does anything. */
  readonly isOn: boolean
  /** Whether prompts and answers are to be told, too. */
  readonly capturesContent: boolean
  /** A part of what runs now, or else the first span of a trace of its own. */
  start(name: string, options?: SpanOptions): Span
  /** A part of what another service does, where its header fields say so. */
  startFrom(carrier: Carrier, name: string, options?: SpanOptions): Span
  /** Of what runs now; undefined where that is not followed. */
  ids(): TraceIds | undefined
  /** Sends what was not sent yet. Never rejects. */
  close(): Promise<void>
}

const noSpan: Span = {
  set() {},
  event() {},
  fail() {},
  part() {},
  within: (work) => work(),
  headers: () => ({}),
  end() {},
}

export const noTracing: Tracing = {
  isOn: false,
  capturesContent: false,
  start: () => noSpan,
  startFrom: () => noSpan,
  ids: () => undefined,
  close: async () => {},
}
