import type { AuthState } from '../../src/auth/schema.ts'
import { service } from '../shell/service.ts'
import { currentUser } from '../shell/session.svelte.ts'

const storageKey = 'looks-around'

let visitors = $state.raw<AuthState | undefined>(undefined)
let isKnown = $state(false)
let looksAround = $state(sessionStorage.getItem(storageKey) !== null)

/** What one may do without an account; undefined where the service did not tell. */
export const visitorState = (): AuthState | undefined => visitors
/** Whether it has been asked for. */
export const isFirstRunKnown = (): boolean => isKnown
/** Nobody has an account yet, and who is here has not put the welcome off. */
export const isFirstRun = (): boolean => visitors?.has_users === false && currentUser() === undefined && !looksAround

/** Asks the service whether somebody has an account. Where it cannot tell, the page says what is wrong with other requests. */
export async function askFirstRun(): Promise<void> {
  visitors = await service.authState().catch(() => undefined)
  isKnown = true
}

/** Until the browser is closed. */
export function lookAround(): void {
  looksAround = true
  sessionStorage.setItem(storageKey, 'yes')
}
