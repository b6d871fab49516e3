import type { User } from '../../src/client.ts'
import { AppError } from '../../src/errors.ts'
import { service } from './service.ts'

let user = $state.raw<User | undefined>(undefined)
let isKnown = $state(false)
let isAsked = $state(false)

/** Who is signed in; undefined: nobody. */
export const currentUser = (): User | undefined => user
export const isAdmin = (): boolean => user?.role === 'admin'
/** Whether the service has told who is signed in. */
export const isSessionKnown = (): boolean => isKnown
/** Whether the person should be asked for their name and password. */
export const isSignInOpen = (): boolean => isAsked

export function openSignIn(): void {
  isAsked = true
}

export function closeSignIn(): void {
  isAsked = false
}

/** Asks the service who is signed in. */
export async function refreshSession(): Promise<void> {
  user = await service.me().catch((error: unknown) => {
    if (error instanceof AppError && error.code === 'unauthorized') return undefined
    throw error
  })
  isKnown = true
}

/** Signs in, after opening the account where `isNew`. Throws AppError. */
export async function signIn(username: string, password: string, { isNew = false } = {}): Promise<void> {
  if (isNew) await service.register(username, password)
  await service.login(username, password)
  await refreshSession()
  isAsked = false
}

/** The page begins anew, so that nothing of one person is left for the next. */
export async function signOut(): Promise<void> {
  await service.logout()
  location.assign('/')
}

/** A session that has ended in the meantime is asked for again. Gives whether it was that. */
export function askWhereSignInIsNeeded(error: unknown): boolean {
  if (!(error instanceof AppError) || error.code !== 'unauthorized') return false
  user = undefined
  isAsked = true
  return true
}
