import type { CookieSerializeOptions } from '@fastify/cookie'

/**
 * Holds the same token as the login answer, out of reach of scripts. Over https it has the prefix by which browsers take it from this host
 * alone: no other host of the same domain can plant one.
 */
export const sessionCookieName = (secure: boolean) => (secure ? '__Host-simpleia_token' : 'simpleia_token')

export function sessionCookieOptions(secure: boolean, maxAgeSeconds: number): CookieSerializeOptions {
  return { ...sessionCookiePlace(secure), maxAge: maxAgeSeconds }
}

/** To take it away: a browser refuses a cookie of that prefix without the rest, also one that is over already. */
export const sessionCookiePlace = (secure: boolean): CookieSerializeOptions => ({
  httpOnly: true,
  sameSite: 'lax',
  secure,
  path: '/',
})
