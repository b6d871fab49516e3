import { createHmac, hkdfSync, type KeyObject } from 'node:crypto'

export interface RedisNames {
  /** The key of one thing. `what` keeps kinds of things apart; of `name` (an address, a username) nothing can be read in Redis. */
  keyOf(what: string, name: string): string
  /** 32 bytes to encrypt one kind of value with. */
  secretOf(what: string): Buffer
}

/**
 * All keys begin with `simpleia:`. Their ends come from the secret key, so that installations that use the same Redis never meet, while replicas,
 * which have one secret key, do.
 */
export function createNames(secretKey: KeyObject): RedisNames {
  const secretOf = (what: string) => Buffer.from(hkdfSync('sha256', secretKey, '', `simpleia redis ${what}`, 32))
  const naming = secretOf('names')
  return {
    keyOf(what, name) {
      const end = createHmac('sha256', naming).update(`${what} ${name}`).digest('base64url').slice(0, 27)
      return `simpleia:${what}:${end}`
    },
    secretOf,
  }
}
