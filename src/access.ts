import { createApiKeys, isApiKey } from './auth/api-keys.ts'
import { createGuard, type Guard } from './auth/guard.ts'
import { keyRoutes } from './auth/key-routes.ts'
import { createLoginThrottle } from './auth/login-throttle.ts'
import { createPasswords } from './auth/passwords.ts'
import { addressOf } from './auth/rate-limit.ts'
import { createRegistrationThrottle } from './auth/registration-throttle.ts'
import { type AuthRoutes, authRoutes } from './auth/routes.ts'
import { openSecretKey } from './auth/secret-key.ts'
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
  Readonly<{
    now: () => number
  }>

/** Who may come in, and the accounts, tokens and API keys that tell. */
export async function openAccess(config: Config, { db, now }: AccessParts): Promise<Access> {
  const { environment, dataDir, allowAnonymous, allowRegistration } = config
  const production = environment === 'production'
  const secretKey = await openSecretKey({ configured: config.secretKey, dataDir, environment })
  const tokens = createTokens({ secretKey, ttlSeconds: config.tokenTtlSeconds, now, db })
  const users = createUsers({ db, passwords: createPasswords(), now, allowRegistration })
  const throttle = createLoginThrottle({ now })
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
      registrations: createRegistrationThrottle({ now }),
      addressOf,
      production,
      allowRegistration,
      allowAnonymous,
    }),
  }
}
