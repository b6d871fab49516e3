import Type, { type Static } from 'typebox'
import { keyQuotaBody, quotaAnswer, usageAnswer, userQuotaBody } from '../usage/schema.ts'
import { type KeyScope, keyScopes } from './key-scopes.ts'
import type { Role } from './users.ts'

const strict = { additionalProperties: false } as const

const role = Type.Unsafe<Role>({ type: 'string', enum: ['admin', 'user'] })
// The rules of a username hold for what is left after normalising; this only bounds the work.
const username = Type.String({
  minLength: 1,
  maxLength: 256,
  description: "3 to 64 letters, digits, single spaces or . _ - @ + '",
})
const password = Type.String({ minLength: 8, maxLength: 1024 })
/** One that is compared, not chosen: whatever the rules are, it is merely wrong. */
const presentedPassword = Type.String({ minLength: 1, maxLength: 1024 })

export const credentials = Type.Object({ username, password }, strict)

/** The OAuth2 password form, whose further fields every client library sends; the same as JSON. */
export const loginForm = Type.Object(
  {
    username,
    password: presentedPassword,
    grant_type: Type.Optional(Type.String({ enum: ['password', ''] })),
    scope: Type.Optional(Type.String({ maxLength: 1000 })),
    client_id: Type.Optional(Type.String({ maxLength: 1000 })),
    client_secret: Type.Optional(Type.String({ maxLength: 1000 })),
  },
  strict,
)

export const newPassword = Type.Object({ current_password: presentedPassword, new_password: password }, strict)
/** An account that an admin opens; without a role it is an ordinary user's. */
export const newUser = Type.Object({ username, password, role: Type.Optional(role) }, strict)

/** At least one of them. */
export const userChanges = Type.Object(
  { role: Type.Optional(role), quota: Type.Optional(userQuotaBody) },
  { ...strict, minProperties: 1 },
)
export const userPath = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) }, strict)

export const pageQuery = Type.Object(
  {
    limit: Type.Integer({ minimum: 1, maximum: 200, default: 50 }),
    cursor: Type.Optional(Type.String({ maxLength: 500, description: 'next_cursor of the page before.' })),
  },
  strict,
)

// Answers hold these fields and no others: what a route returns besides is left out.
export const user = Type.Object({ id: Type.String(), username: Type.String(), role })
export const userInList = Type.Object({
  ...user.properties,
  created_at: Type.String({ format: 'date-time' }),
  quota: quotaAnswer,
})
export const userPage = Type.Object({
  items: Type.Array(userInList),
  next_cursor: Type.Union([Type.String(), Type.Null()]),
})
/** What a visitor may do before logging in. */
export const authState = Type.Object({
  has_users: Type.Boolean({ description: 'false: who registers now becomes the admin.' }),
  registration_open: Type.Boolean({ description: 'Whether one may open an account oneself.' }),
  anonymous_allowed: Type.Boolean({ description: 'Whether models answer without an account.' }),
})
export type AuthState = Static<typeof authState>
export const session = Type.Object({
  access_token: Type.String(),
  token_type: Type.Literal('bearer'),
  expires_in: Type.Integer({ description: 'Seconds.' }),
})

export const sessionInList = Type.Object({
  id: Type.String(),
  agent: Type.Union([Type.String(), Type.Null()], { description: 'What the client called itself (User-Agent).' }),
  created_at: Type.String({ format: 'date-time' }),
  expires_at: Type.String({ format: 'date-time' }),
  current: Type.Boolean({ description: 'Whether it is the one that asks.' }),
})
export type SessionInList = Static<typeof sessionInList>
export const sessionList = Type.Object({ sessions: Type.Array(sessionInList) })
export const sessionPath = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) }, strict)

const scopes = Type.Array(Type.Unsafe<KeyScope>({ type: 'string', enum: [...keyScopes] }), { minItems: 1, uniqueItems: true })
const time = Type.String({ format: 'date-time' })
const timeOrNull = Type.Union([time, Type.Null()])

export const newKey = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 100, pattern: '\\S', description: 'What you call it.' }),
    scopes: Type.Optional({ ...scopes, description: 'What it may do. Default: inference alone.' }),
    expires_at: Type.Optional({ ...time, description: 'Default: it lives until it is deleted.' }),
    quota: Type.Optional(keyQuotaBody),
  },
  strict,
)
export type NewKeyBody = Static<typeof newKey>

export const keyInList = Type.Object({
  id: Type.String(),
  name: Type.String(),
  prefix: Type.String({ description: 'How the key begins.' }),
  last_four: Type.String({ description: 'How it ends.' }),
  scopes,
  quota: quotaAnswer,
  created_at: time,
  expires_at: timeOrNull,
  last_used_at: timeOrNull,
  usage_today: usageAnswer,
})
export type KeyInList = Static<typeof keyInList>
export const keyList = Type.Object({ keys: Type.Array(keyInList) })
/** The one answer that holds the key itself. */
export const madeKey = Type.Object({ ...keyInList.properties, key: Type.String() })

const keyOfUser = Type.Object({ ...keyInList.properties, user: Type.Object({ id: Type.String(), username: Type.String() }) })
export type KeyOfUser = Static<typeof keyOfUser>
export const keyPage = Type.Object({ items: Type.Array(keyOfUser), next_cursor: Type.Union([Type.String(), Type.Null()]) })
export const keyPageQuery = Type.Object(
  { ...pageQuery.properties, user_id: Type.Optional(Type.String({ maxLength: 100 })) },
  strict,
)
export const keyPath = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) }, strict)
