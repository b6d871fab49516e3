import type { User } from '../../src/client.ts'
import { AppError } from '../../src/errors.ts'
import { speaker } from './language.svelte.ts'
import { tell } from './notices.svelte.ts'
import { pauseAfter } from './pauses.ts'
import { holdRequests, service, whenRefused } from './service.ts'
import { texts } from './texts.ts'

const say = speaker(texts)

let user = $state.raw<User | undefined>(undefined)
let isKnown = $state(false)
let isAsked = $state(false)
let failure = $state.raw<unknown>(undefined)
/** How often somebody has signed in. */
let signIns = $state(0)
let hasExpired = false
let isLeaving = false

/** Who is signed in; undefined: nobody. */
export const currentUser = (): User | undefined => user
export const isAdmin = (): boolean => user?.role === 'admin'
/** Whether the service has told who is signed in. */
export const isSessionKnown = (): boolean => isKnown
/** Whether the person should be asked for their name and password. */
export const isSignInOpen = (): boolean => isAsked

/** Why the service could not tell who is signed in. */
export const sessionFailure = (): unknown => failure
/** Changes with each sign-in, also of the person who was signed in before: what failed for want of it may work now. */
export const sessionNumber = (): number => signIns
/** Whether the person is about to sign out: nothing of theirs may stay. */
export const isSigningOut = (): boolean => isLeaving

export function openSignIn(): void {
  isAsked = true
}

export function closeSignIn(): void {
  isAsked = false
  // Who does not sign in again is signed out.
  if (hasExpired) user = undefined
  setExpired(false)
}

/** Asks the service who is signed in, until it says so. */
export async function openSession(): Promise<void> {
  for (let failed = 1; ; failed += 1) {
    try {
      user = await askWho()
      failure = undefined
      isKnown = true
      return
    } catch (error) {
      failure = error
      await new Promise((resolve) => setTimeout(resolve, pauseAfter(failed)))
    }
  }
}

/** Asks once more, as after a change of role. Throws AppError. */
export async function refreshSession(): Promise<void> {
  user = await askWho()
}

const askWho = (): Promise<User | undefined> =>
  service.me().catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'unauthorized') return undefined
    throw error
  })

/** Signs in, after opening the account where `isNew`. Throws AppError. */
export async function signIn(username: string, password: string, { isNew = false } = {}): Promise<void> {
  if (isNew) await service.register(username, password)
  await service.login(username, password)
  user = await askWho()
  signIns += 1
  setExpired(false)
  isAsked = false
}

/** The page begins anew, so that nothing of one person is left for the next. */
export async function signOut(): Promise<void> {
  await service.logout()
  isLeaving = true
  location.assign('/')
}

/**
 * A session that has ended in the meantime is asked for again. The pages stay as they are until then, with all that was typed there.
 * Gives whether it was that.
 */
export function askWhereSignInIsNeeded(error: unknown): boolean {
  if (!(error instanceof AppError) || error.code !== 'unauthorized') return false
  setExpired(user !== undefined)
  isAsked = true
  return true
}

function setExpired(expired: boolean): void {
  hasExpired = expired
  holdRequests(expired)
}

// Told and not asked: what asks by itself must not take the keyboard from somebody who types. Their next request opens the dialog.
whenRefused(() => {
  if (user === undefined || hasExpired) return
  setExpired(true)
  tell(say('sessionEnded'), { action: { label: say('signIn'), run: openSignIn } })
})
