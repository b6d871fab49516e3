import type { Usage } from '../provider.ts'

/** Why something was called outside of this machine. */
export type EgressPurpose = 'answer' | 'probe' | 'model-download' | 'package-download' | 'page-fetch'

/** What a call to the outside is for. */
export type EgressIntent = Readonly<{
  purpose: EgressPurpose
  /** The `user` of the request that needs it (`user:ID`, `address:…`); undefined where nobody asked. */
  user?: string
  /** Of a cloud provider, for `answer` and `probe`. */
  provider?: string
  model?: string
}>

/** One errand outside: one request, and those that follow from it (redirects, further tries). */
export interface EgressCall {
  /** As the global one, for this errand only. Throws `forbidden` where LOCAL_ONLY is set and the address is not this machine. */
  readonly fetch: typeof globalThis.fetch
  /** Tells the tokens that the other side has counted. */
  used(usage: Usage): void
  /** Writes what happened into the ledger. Must be called, also after a failure. Never rejects. */
  end(): Promise<void>
}

/** The only way out of this machine. */
export interface Egress {
  begin(intent: EgressIntent): EgressCall
}
