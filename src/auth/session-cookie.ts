import type { CookieSerializeOptions } from '@fastify/cookie'

/** Holds the same token as the login answer, out of reach of scripts. */
export const sessionCookieName = 'simpleia_token'

export function sessionCookieOptions(secure: boolean, maxAgeSeconds: number): CookieSerializeOptions {
  return { httpOnly: true, sameSite: 'lax', secure, path: '/', maxAge: maxAgeSeconds }
}
