import type { GenerateEvent, GenerateRequest, Usage } from '../provider.ts'
import type { CloudModel } from './cloud-options.ts'

/** One try at one server. */
export type Attempt = Readonly<{
  baseUrl: string
  /** Carries the key and the headers of the request; what a client library adds is left out. */
  fetch: typeof globalThis.fetch
  signal: AbortSignal
}>

/** `usage` comes last; undefined where the other side tells no counts. */
export type WireEvent = Exclude<GenerateEvent, { type: 'generation-end' }> | Readonly<{ type: 'usage'; usage: Usage | undefined }>

/** A request in the words of an API, which can be sent several times. */
export type Prepared<T> = Readonly<{
  /** Beside those that every request has. */
  headers: Readonly<Record<string, string>>
  /** The header that carries the key; absent: `authorization`, as a bearer token. */
  keyHeader?: 'x-api-key'
  expects: 'stream' | 'json'
  send(attempt: Attempt): AsyncIterable<T>
}>

/** How an API is spoken. */
export interface Wire {
  /** Where the API keeps the list of its models: asked to see whether a server is well. */
  readonly modelsPath: string
  /**
   * Throws `invalid` for what the API cannot honour. The events throw what the API's client throws, and `upstream` where the answer
   * makes no sense or breaks off.
   */
  prepareAnswer(request: GenerateRequest, model: CloudModel): Prepared<WireEvent>
  /** Gives the tokens of a prompt. Throws `invalid` where the API has no way to count. */
  prepareCount(request: Pick<GenerateRequest, 'model' | 'prompt'>, model: CloudModel): Prepared<number>
}
