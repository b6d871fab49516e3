/** How traces are sent; there is none where they are not. */
export type TraceSettings = Readonly<{
  /** Address of the collector, without `/v1/traces`. */
  endpoint: string
  /** Sent with each request to it. */
  headers: ReadonlyMap<string, string>
  serviceName: string
  /** More that is told of this service. */
  resource: ReadonlyMap<string, string>
  sampler: TraceSampler
  /** The share of traces that are followed, for samplers by ratio. */
  ratio: number
  capturesContent: boolean
  version: string
}>

export const traceSamplers = [
  'always_on',
  'always_off',
  'traceidratio',
  'parentbased_always_on',
  'parentbased_always_off',
  'parentbased_traceidratio',
] as const
export type TraceSampler = (typeof traceSamplers)[number]
