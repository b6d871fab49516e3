import { LRUCache } from 'lru-cache'
import { AppError } from '../errors.ts'

export interface RegistrationThrottle {
  /** Throws `rate_limited` where too many accounts were opened from an address lately. */
  check(address: string): void
  /** Notes an account that was opened. */
  count(address: string): void
}

export type RegistrationThrottleOptions = Readonly<{
  now: () => number
  windowSeconds?: number
  /** Accounts from one address. */
  maxAccounts?: number
}>

/** Against programs that open accounts, each with the quota of a user. A school behind one address still gets in. */
export function createRegistrationThrottle({
  now,
  windowSeconds = 3600,
  maxAccounts = 100,
}: RegistrationThrottleOptions): RegistrationThrottle {
  const opened = new LRUCache<string, Readonly<{ accounts: number; endsAt: number }>>({ max: 20_000 })
  const find = (address: string) => {
    const known = opened.get(address)
    return known !== undefined && known.endsAt > now() ? known : { accounts: 0, endsAt: now() + windowSeconds * 1000 }
  }
  return {
    check(address) {
      const { accounts, endsAt } = find(address)
      if (accounts < maxAccounts) return
      const retryAfterSeconds = Math.max(1, Math.ceil((endsAt - now()) / 1000))
      const message = `Too many accounts were opened from here. Try again in ${retryAfterSeconds} s, or ask an admin for one.`
      throw new AppError('rate_limited', message, { retryAfterSeconds })
    },
    count(address) {
      const { accounts, endsAt } = find(address)
      opened.set(address, { accounts: accounts + 1, endsAt })
    },
  }
}
