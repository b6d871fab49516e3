import { AppError } from '../errors.ts'
import type { OpenWindows } from './windows.ts'

export interface RegistrationThrottle {
  /** Throws `rate_limited` where too many accounts were opened from an address lately. */
  check(address: string): Promise<void>
  /** Notes an account that was opened. */
  count(address: string): Promise<void>
}

export type RegistrationThrottleOptions = Readonly<{
  /** Where accounts are counted. */
  windows: OpenWindows
  windowSeconds?: number
  /** Accounts from one address. */
  maxAccounts?: number
}>

const maxKeys = 20_000

/** Against programs that open accounts, each with the quota of a user. A school behind one address still gets in. */
export function createRegistrationThrottle({
  windows,
  windowSeconds = 3600,
  maxAccounts = 100,
}: RegistrationThrottleOptions): RegistrationThrottle {
  const opened = windows('registrations', { windowMs: windowSeconds * 1000, maxKeys })
  return {
    async check(address) {
      const { count, leftMs } = await opened.find(address)
      if (count < maxAccounts) return
      const retryAfterSeconds = Math.max(1, Math.ceil(leftMs / 1000))
      const message = `Too many accounts were opened from here. Try again in ${retryAfterSeconds} s, or ask an admin for one.`
      throw new AppError('rate_limited', message, { retryAfterSeconds })
    },
    async count(address) {
      await opened.add(address)
    },
  }
}
