import Type from 'typebox'
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

export const changedRole = Type.Object({ role }, strict)
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
export const userInList = Type.Object({ ...user.properties, created_at: Type.String({ format: 'date-time' }) })
export const userPage = Type.Object({
  items: Type.Array(userInList),
  next_cursor: Type.Union([Type.String(), Type.Null()]),
})
export const session = Type.Object({
  access_token: Type.String(),
  token_type: Type.Literal('bearer'),
  expires_in: Type.Integer({ description: 'Seconds.' }),
})
