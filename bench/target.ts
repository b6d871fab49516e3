import type { Server } from './servers.ts'

/** One request for text. */
export type Ask = Readonly<{
  prompt: string
  maxTokens: number
  /** The likeliest token each time, whatever the sampling of the run is. */
  greedy?: boolean
}>

/** What came of it; times in ms since the requests were sent. Token counts are the server's own. */
export type Answer = Readonly<{
  promptTokens: number
  completionTokens: number
  /** Until the first text, or until the end where there was none. */
  firstMs: number
  /** Until the last text. */
  lastMs: number
  endMs: number
}>

/** What is measured: a server, or the bare loop. */
export type Target = Readonly<{
  name: string
  /** Sends all requests at once, each as a client of its own. */
  generate(asks: readonly Ask[]): Promise<readonly Answer[]>
  /** Undefined for the bare loop. */
  server: Server | undefined
}>
