import type { KeyObject } from 'node:crypto'
import { createApiKeys, isApiKey } from './auth/api-keys.ts'
import { createGuard, type Guard } from './auth/guard.ts'
import { keyRoutes } from './auth/key-routes.ts'
import { createLoginThrottle, type LoginThrottleOptions } from './auth/login-throttle.ts'
import { createPasswords } from './auth/passwords.ts'
import { addressOf } from './auth/rate-limit.ts'
import { createRegistrationThrottle } from './auth/registration-throttle.ts'
import { type AuthRoutes, authRoutes } from './auth/routes.ts'
import { createTokens } from './auth/tokens.ts'
import { createUsers } from './auth/users.ts'
import type { Config } from './config.ts'
import type { Storage } from './storage/open-storage.ts'
import { dayOf, readUsage } from './usage/usage-days.ts'

export type Access = Readonly<{
  guard: Guard
  auth: AuthRoutes
  keys: ReturnType<typeof keyRoutes>
}>

export type AccessParts = Pick<Storage, 'db'> &
  Pick<LoginThrottleOptions, 'windows' | 'takeTurn'> &
  Readonly<{
    secretKey: KeyObject
    now: () => number
    /** As of `openSettledTime`. */
    settledNow: () => number
  }>

/** Who may come in, and the accounts, tokens and API keys that tell. */
export function openAccess(config: Config, { db, secretKey, windows, takeTurn, now, settledNow }: AccessParts): Access {
  const { environment, allowAnonymous, allowRegistration } = config
  const production = environment === 'production'
  const tokens = createTokens({ secretKey, ttlSeconds: config.tokenTtlSeconds, now, settledNow, db })
  const users = createUsers({ db, passwords: createPasswords(), now, allowRegistration })
  const throttle = createLoginThrottle({ windows, takeTurn })
  const apiKeys = createApiKeys({ db, now })
  const findCaller = (token: string) => (isApiKey(token) ? apiKeys.findCaller(token) : tokens.findCaller(token))
  const usageOf = (ids: readonly string[]) => Promise.all(ids.map((id) => readUsage(db, `key:${id}`, dayOf(now()))))
  return {
    guard: createGuard({ findCaller, allowAnonymous, secureCookie: production, allowedOrigins: config.corsOrigins }),
    keys: keyRoutes({ apiKeys, usageOf }),
    auth: authRoutes({
      users,
      tokens,
      throttle,
      registrations: createRegistrationThrottle({ windows }),
      addressOf,
      production,
      allowRegistration,
      allowAnonymous,
    }),
  }
}
