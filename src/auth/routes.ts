import type {} from '@fastify/cookie'
import type {} from '@fastify/swagger'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { AppError } from '../errors.ts'
import { fromQuotaBody, toQuotaAnswer } from '../usage/schema.ts'
import { userOf } from './guard.ts'
import type { LoginThrottle } from './login-throttle.ts'
import type { RegistrationThrottle } from './registration-throttle.ts'
import {
  type AuthState,
  authState,
  credentials,
  loginForm,
  newPassword,
  newUser,
  pageQuery,
  session,
  user,
  userChanges,
  userInList,
  userPage,
  userPath,
} from './schema.ts'
import { sessionCookieName, sessionCookieOptions, sessionCookiePlace } from './session-cookie.ts'
import { sessionRoutes } from './session-routes.ts'
import type { Tokens } from './tokens.ts'
import { usernameKey } from './username.ts'
import type { User, Users } from './users.ts'

export type AuthRoutesOptions = Readonly<{
  users: Users
  tokens: Tokens
  throttle: LoginThrottle
  registrations: RegistrationThrottle
  /** Where a request comes from, for the throttle. */
  addressOf: (request: FastifyRequest) => string
  /** Cookies over https only. */
  production: boolean
  allowRegistration: boolean
  allowAnonymous: boolean
}>

/** `self` tells callers about themselves, and so may be open to API keys; `user` is for those who log in. */
export type AuthRoutes = Readonly<Record<'public' | 'self' | 'user' | 'admin', FastifyPluginAsync>>

/** Who has shown nothing yet has the service read so much, and no more: names and passwords are short. */
const mostBodyBytes = 65_536

/** The `/auth` and `/admin/users` endpoints but those of keys, by the scope that each is mounted in. */
export function authRoutes(options: AuthRoutesOptions): AuthRoutes {
  return { public: publicRoutes(options), self: selfRoutes, user: userRoutes(options), admin: adminRoutes(options) }
}

function publicRoutes(options: AuthRoutesOptions): FastifyPluginAsync {
  const { users, tokens, throttle, registrations, addressOf, production, allowRegistration, allowAnonymous } = options
  /** A browser has one session: that which its cookie held before is over. */
  async function endEarlier({ cookies }: FastifyRequest): Promise<void> {
    const kept = cookies[sessionCookieName(production)]
    await tokens.revoke((kept === undefined ? undefined : await tokens.findCaller(kept)) ?? {})
  }
  return async (scope) => {
    scope.get(
      '/auth/state',
      { schema: { tags: ['auth'], summary: 'What one may do without an account', response: { 200: authState } } },
      async (_request, reply): Promise<AuthState> => {
        reply.header('cache-control', 'no-store')
        const hasUsers = await users.hasAny()
        return {
          has_users: hasUsers,
          registration_open: allowRegistration || !hasUsers,
          anonymous_allowed: allowAnonymous,
        }
      },
    )

    scope.post<{ Body: Static<typeof credentials> }>(
      '/auth/register',
      {
        bodyLimit: mostBodyBytes,
        schema: {
          tags: ['auth'],
          summary: 'Open an account; the first becomes admin',
          body: credentials,
          response: { 201: user },
        },
      },
      async (request, reply) => {
        const address = addressOf(request)
        await registrations.check(address)
        const registered = await users.register(request.body)
        await registrations.count(address)
        reply.code(201)
        return registered
      },
    )

    scope.post<{ Body: Static<typeof loginForm> }>(
      '/auth/login',
      {
        bodyLimit: mostBodyBytes,
        schema: {
          tags: ['auth'],
          summary: 'Log in; the token also comes as a cookie',
          consumes: ['application/x-www-form-urlencoded', 'application/json'],
          body: loginForm,
          response: { 200: session },
        },
      },
      async (request, reply) => {
        const { username, password } = request.body
        const attempt = { address: addressOf(request), usernameKey: usernameKey(username) }
        const account = await throttle.attempt(attempt, () => users.findByPassword({ username, password }))
        if (account === undefined) throw new AppError('unauthorized', 'This username and password do not fit together.')
        await endEarlier(request)
        const { token, expiresInSeconds } = await tokens.issue(account, request.headers['user-agent'])
        reply.setCookie(sessionCookieName(production), token, sessionCookieOptions(production, expiresInSeconds))
        reply.header('cache-control', 'no-store')
        return { access_token: token, token_type: 'bearer', expires_in: expiresInSeconds }
      },
    )
  }
}

const selfRoutes: FastifyPluginAsync = async (scope) => {
  scope.get(
    '/auth/me',
    { schema: { tags: ['auth'], summary: 'Who the token belongs to', response: { 200: user } } },
    async (request) => userOf(request),
  )
}

function userRoutes({ users, tokens, throttle, addressOf, production }: AuthRoutesOptions): FastifyPluginAsync {
  return async (scope) => {
    await scope.register(sessionRoutes(tokens))

    scope.post(
      '/auth/logout',
      { schema: { tags: ['auth'], summary: 'End this token', response: { 204: Type.Null() } } },
      async (request, reply) => {
        await tokens.revoke(userOf(request))
        return endSession(reply, production)
      },
    )

    scope.post<{ Body: Static<typeof newPassword> }>(
      '/auth/password',
      {
        schema: {
          tags: ['auth'],
          summary: 'Change the password; ends every token of the user',
          body: newPassword,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        const { id, username } = userOf(request)
        const { current_password, new_password } = request.body
        // A stolen token must not be a way round the limit on guesses.
        const attempt = { address: addressOf(request), usernameKey: usernameKey(username) }
        const changed = await throttle.attempt(attempt, () => users.changePassword(id, current_password, new_password))
        if (changed === undefined) throw new AppError('forbidden', 'The current password is another one.')
        return endSession(reply, production)
      },
    )
  }
}

function adminRoutes({ users }: AuthRoutesOptions): FastifyPluginAsync {
  return async (scope) => {
    scope.get<{ Querystring: Static<typeof pageQuery> }>(
      '/admin/users',
      { schema: { tags: ['admin'], summary: 'List the users', querystring: pageQuery, response: { 200: userPage } } },
      async (request) => {
        const { items, nextCursor } = await users.list({ limit: request.query.limit, cursor: request.query.cursor })
        return { items: items.map(toListed), next_cursor: nextCursor ?? null }
      },
    )

    scope.post<{ Body: Static<typeof newUser> }>(
      '/admin/users',
      {
        schema: {
          tags: ['admin'],
          summary: 'Open an account for somebody, also where registration is closed',
          body: newUser,
          response: { 201: userInList },
        },
      },
      async ({ body: { username, password, role = 'user' } }, reply) => {
        reply.code(201)
        return toListed(await users.add({ username, password, role }))
      },
    )

    scope.patch<{ Params: Static<typeof userPath>; Body: Static<typeof userChanges> }>(
      '/admin/users/:id',
      {
        schema: {
          tags: ['admin'],
          summary: 'Change the role or the quota of a user; a new role ends every token of the user',
          params: userPath,
          body: userChanges,
          response: { 200: userInList },
        },
      },
      async ({ params, body: { role, quota } }) => {
        const changes = {
          ...(role === undefined ? {} : { role }),
          ...(quota === undefined ? {} : { quota: fromQuotaBody(quota) }),
        }
        return toListed(await users.change(params.id, changes))
      },
    )

    scope.delete<{ Params: Static<typeof userPath> }>(
      '/admin/users/:id/sessions',
      {
        schema: {
          tags: ['admin'],
          summary: 'End every token of a user; their API keys live on',
          params: userPath,
          response: { 204: Type.Null() },
        },
      },
      async (request, reply) => {
        await users.endSessions(request.params.id)
        return reply.code(204).send()
      },
    )

    scope.delete<{ Params: Static<typeof userPath> }>(
      '/admin/users/:id',
      { schema: { tags: ['admin'], summary: 'Delete a user', params: userPath, response: { 204: Type.Null() } } },
      async (request, reply) => {
        await users.remove(request.params.id)
        return reply.code(204).send()
      },
    )
  }
}

function endSession(reply: FastifyReply, secure: boolean): FastifyReply {
  return reply.clearCookie(sessionCookieName(secure), sessionCookiePlace(secure)).code(204).send()
}

function toListed({ id, username, role, createdAt, ...quota }: User): Static<typeof userInList> {
  return { id, username, role, created_at: createdAt, quota: toQuotaAnswer(quota) }
}
