import { createClient } from '../../src/client.ts'

let onRefused = () => {}
let isHeld = false

/** Hears of each answer that says that nobody is signed in, whoever asked; those of signing in itself aside. */
export function whenRefused(listener: () => void): void {
  onRefused = listener
}

/**
 * Whether all is refused here, but signing in: the service forgets a session that has ended with its first refusal, and would take what
 * comes next for a visitor's.
 */
export function holdRequests(held: boolean): void {
  isHeld = held
}

const refusal = { error: { code: 'unauthorized', message: 'The session has ended. Log in again.' } }

/** The service that this page came from. Who asks stands in a cookie that no script can read. */
export const service = createClient({
  baseUrl: '',
  async fetch(input, init) {
    const isSigningIn = String(input).startsWith('/auth/')
    if (isHeld && !isSigningIn) return Response.json(refusal, { status: 401 })
    const response = await fetch(input, init)
    if (response.status === 401 && !isSigningIn) onRefused()
    return response
  },
})
