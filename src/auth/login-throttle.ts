import { AppError } from '../errors.ts'
import { createTurns, type TakeTurn } from './turns.ts'
import type { OpenWindows, Windows } from './windows.ts'

/** What was guessed, and from where. */
export type LoginAttempt = Readonly<{ address: string; usernameKey: string }>

export interface LoginThrottle {
  /**
   * Runs `work` (undefined is a failed login) after earlier attempts on the same user from the same address, so that
   * many guesses at once count like one after the other. Throws `rate_limited` after too many failures.
   */
  attempt<T>(attempt: LoginAttempt, work: () => Promise<T | undefined>): Promise<T | undefined>
}

export type LoginThrottleOptions = Readonly<{
  /** Where failures are counted. */
  windows: OpenWindows
  takeTurn: TakeTurn
  windowSeconds?: number
  /** Failures on one user from one address. */
  maxFailures?: number
  /** Failures from one address, whoever the user: against one password tried on many users. */
  maxFailuresPerAddress?: number
}>

const maxKeys = 20_000
/** Logins from one address that are tried at a time: no more can pass its limit, and it is more than are computed at a time. */
const atOnce = 8
const maxWaiting = 1000

export function createLoginThrottle({
  windows,
  takeTurn,
  windowSeconds = 60,
  maxFailures = 5,
  maxFailuresPerAddress = 60,
}: LoginThrottleOptions): LoginThrottle {
  const options = { windowMs: windowSeconds * 1000, maxKeys }
  const failures = windows('logins', options)
  const failuresOfAddress = windows('logins-of-address', options)
  const takePlace = createTurns({ atOnce, maxWaiting })
  return {
    attempt({ address, usernameKey }, work) {
      const name = `${address} ${usernameKey}`
      const tryOnce = async () => {
        await refuseAfter(failures, name, maxFailures)
        await refuseAfter(failuresOfAddress, address, maxFailuresPerAddress)
        const result = await work()
        if (result === undefined) await Promise.all([failures.add(name), failuresOfAddress.add(address)])
        else await failures.clear(name)
        return result
      }
      return takePlace(address, () => takeTurn(name, tryOnce))
    },
  }
}

async function refuseAfter(failures: Windows, key: string, limit: number): Promise<void> {
  const { count, leftMs } = await failures.find(key)
  if (count < limit) return
  const retryAfterSeconds = Math.max(1, Math.ceil(leftMs / 1000))
  throw new AppError('rate_limited', `Too many failed logins. Try again in ${retryAfterSeconds} s.`, { retryAfterSeconds })
}
