import type { traceSamplers } from '../config/telemetry-settings.ts'

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

export type TraceSampler = (typeof traceSamplers)[number]
