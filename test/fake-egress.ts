import type { Egress, EgressIntent } from '../src/engine/cloud/egress.ts'
import type { Usage } from '../src/engine/provider.ts'

export type SeenCall = { readonly intent: EgressIntent; readonly urls: string[]; usage: Usage | undefined; ended: boolean }

/** A way out that is this function, and counts nothing. */
export function egressOf(fetch: typeof globalThis.fetch): Egress {
  const tally = { sent() {}, received() {}, answered() {} }
  return { begin: () => ({ fetch, check() {}, request: async () => tally, used() {}, end: async () => {} }) }
}

/** Lets everything out, and remembers it. */
export function createFakeEgress(): Egress & { readonly calls: readonly SeenCall[] } {
  const calls: SeenCall[] = []
  return {
    calls,
    begin(intent) {
      const call: SeenCall = { intent, urls: [], usage: undefined, ended: false }
      calls.push(call)
      return {
        fetch: (input, init) => {
          call.urls.push(input instanceof Request ? input.url : String(input))
          return fetch(input, init)
        },
        check() {},
        async request(host) {
          call.urls.push(host)
          return { sent() {}, received() {}, answered() {} }
        },
        used(usage) {
          call.usage = usage
        },
        async end() {
          call.ended = true
        },
      }
    },
  }
}
