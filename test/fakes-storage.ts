import { createSecretKey, randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import { askerOf, isAdmin } from '../src/asker.ts'
import { createApiKeys, isApiKey } from '../src/auth/api-keys.ts'
import { type Caller, createGuard } from '../src/auth/guard.ts'
import { keyRoutes } from '../src/auth/key-routes.ts'
import { openToKeys } from '../src/auth/key-scopes.ts'
import { createLoginThrottle } from '../src/auth/login-throttle.ts'
import { isFromOwnPage } from '../src/auth/own-page.ts'
import { createPasswords, type Passwords } from '../src/auth/passwords.ts'
import { createRegistrationThrottle } from '../src/auth/registration-throttle.ts'
import { authRoutes } from '../src/auth/routes.ts'
import { createTokens } from '../src/auth/tokens.ts'
import { createTurns } from '../src/auth/turns.ts'
import { createUsers } from '../src/auth/users.ts'
import { openMemoryWindows } from '../src/auth/windows.ts'
import { createFeedback } from '../src/feedback/feedback.ts'
import { findRated } from '../src/feedback/rated-answer.ts'
import { feedbackRoutes } from '../src/feedback/routes.ts'
import { createLifecycle } from '../src/http/lifecycle.ts'
import { createLog } from '../src/http/log-stream.ts'
import { logAnswer } from '../src/http/request-log.ts'
import { createServer, mountRoutes } from '../src/http/server.ts'
import { openStorage } from '../src/storage/open-storage.ts'
import { dayOf, readUsage } from '../src/usage/usage-days.ts'
import { databaseAt } from './postgres/database-at.ts'

export const cheapPasswords = (): Passwords => createPasswords({ parameters: { memoryKib: 8, passes: 1, parallelism: 1 } })

export type World = Awaited<ReturnType<typeof openWorld>>

export type WorldOptions = Readonly<{
  allowAnonymous?: boolean
  allowRegistration?: boolean
  production?: boolean
  allowedOrigins?: readonly string[]
  passwords?: Passwords
  maxFailures?: number
  /** That one address may open in an hour. */
  maxAccounts?: number
}>

/** The real server, database and routes of auth and feedback, with a clock to turn and cheap passwords. */
export async function openWorld(options: WorldOptions = {}) {
  const { allowAnonymous = false, allowRegistration = true, production = false, allowedOrigins = [] } = options
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-auth-'))
  const clock = { ms: Date.UTC(2026, 0, 1) }
  const now = () => clock.ms
  const { db, close } = await openStorage({ url: await databaseAt(join(folder, 'simpleia.db')), now })
  const secretKey = createSecretKey(randomBytes(48))
  const passwords = options.passwords ?? cheapPasswords()
  const users = createUsers({ db, passwords, now, allowRegistration })
  const tokens = createTokens({ secretKey, ttlSeconds: 3600, now, db })
  const apiKeys = createApiKeys({ db, now })
  const findCaller = (token: string) => (isApiKey(token) ? apiKeys.findCaller(token) : tokens.findCaller(token))
  const keys = keyRoutes({
    apiKeys,
    usageOf: (ids) => Promise.all(ids.map((id) => readUsage(db, `key:${id}`, dayOf(now())))),
  })
  const guard = createGuard({ findCaller, allowAnonymous, secureCookie: production, allowedOrigins })
  const throttle = createLoginThrottle({
    windows: openMemoryWindows(now),
    takeTurn: createTurns(),
    maxFailures: options.maxFailures ?? 5,
  })
  const auth = authRoutes({
    users,
    tokens,
    throttle,
    registrations: createRegistrationThrottle({ windows: openMemoryWindows(now), maxAccounts: options.maxAccounts ?? 100 }),
    addressOf: ({ ip }) => ip,
    production,
    allowRegistration,
    allowAnonymous,
  })
  const feedback = feedbackRoutes({
    feedback: createFeedback({ db, now }),
    raterOf: askerOf,
    isAdmin,
    findRated: (rater, rated) => findRated(db, rater, rated),
    readPrediction: async () => undefined,
  })
  const callers: Caller[] = []
  const logLines: string[] = []
  const log = createLog({ level: 'trace', stream: { write: (line) => void logLines.push(line) } })
  const http = await createServer({
    boundToLoopback: true,
    production,
    corsOrigins: allowedOrigins,
    isFromOwnPage,
    trustProxy: [],
    maxBodyBytes: 1_000_000,
    log,
    lifecycle: createLifecycle(),
    onRequestEnd: logAnswer,
  })
  await mountRoutes(
    http,
    { caller: guard.allowCaller, user: guard.requireUser, admin: guard.requireAdmin },
    {
      public: [auth.public],
      caller: [openToKeys('feedback', [feedback.caller]), openToKeys('inference', [probe(callers)])],
      user: [openToKeys('any', [auth.self]), auth.user, keys.user, openToKeys('feedback', [feedback.user])],
      admin: [auth.admin, keys.admin, openToKeys('admin', [feedback.admin])],
    },
  )
  return {
    ...clientOf(http),
    http,
    db,
    users,
    tokens,
    apiKeys,
    guard,
    secretKey,
    clock,
    callers,
    logLines,
    async close() {
      await http.close()
      await close()
      await rm(folder, { recursive: true })
    },
  }
}

/** Routes that tell whom the guard of the caller scope found. */
function probe(callers: Caller[]): FastifyPluginAsync {
  return async (scope) => {
    scope.addHook('preHandler', async ({ caller }) => void callers.push(caller))
    scope.get('/probe', async ({ caller }) => caller)
    scope.post('/probe', async ({ caller }) => caller)
  }
}

export const password = 'correct horse battery'

function clientOf(http: FastifyInstance) {
  const post = (url: string, payload: object, headers: Record<string, string> = {}) =>
    http.inject({ method: 'POST', url, payload, headers })
  const register = (username: string, its = password) => post('/auth/register', { username, password: its })
  const login = (username: string, its = password) => post('/auth/login', { username, password: its })

  async function tokenFor(username: string, its = password): Promise<string> {
    const { access_token: token } = (await login(username, its)).json<{ access_token: string }>()
    return token
  }

  return {
    post,
    register,
    login,
    tokenFor,
    /** Registers and logs in. */
    async join(username: string) {
      const { id, role } = (await register(username)).json<{ id: string; role: string }>()
      const token = await tokenFor(username)
      return { id, role, token, headers: bearer(token) }
    },
    me: (token: string) => http.inject({ url: '/auth/me', headers: bearer(token) }),
  }
}

export const bearer = (token: string) => ({ authorization: `Bearer ${token}` })
