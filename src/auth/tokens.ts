import { type KeyObject, randomUUID } from 'node:crypto'
import { type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { JOSEError } from 'jose/errors'
import type { Database } from '../storage/tables.ts'
import type { UserCaller } from './guard.ts'

export type IssuedToken = Readonly<{ token: string; expiresInSeconds: number }>

export interface Tokens {
  issue(user: Readonly<{ id: string; tokenGeneration: number }>): Promise<IssuedToken>
  /** Who holds this token now; the role is the database's. Undefined for whatever is not, or no longer, a good token. */
  findCaller(token: string): Promise<UserCaller | undefined>
  /** Logs this one token out. */
  revoke(tokenId: string): Promise<void>
}

export type TokenOptions = Readonly<{ secretKey: KeyObject; ttlSeconds: number; now: () => number; db: Database }>

const algorithm = 'HS256'
const party = 'simpleia'

export function createTokens({ secretKey, ttlSeconds, now, db }: TokenOptions): Tokens {
  const nowSeconds = () => Math.floor(now() / 1000)

  return {
    async issue({ id, tokenGeneration }) {
      const token = await new SignJWT({ generation: tokenGeneration })
        .setProtectedHeader({ alg: algorithm, typ: 'JWT' })
        .setIssuer(party)
        .setAudience(party)
        .setSubject(id)
        .setJti(randomUUID())
        .setIssuedAt(nowSeconds())
        .setExpirationTime(nowSeconds() + ttlSeconds)
        .sign(secretKey)
      return { token, expiresInSeconds: ttlSeconds }
    },

    async findCaller(token) {
      const claims = await readClaims(token, { secretKey, ttlSeconds, now })
      return claims === undefined ? undefined : findHolder(db, claims)
    },

    async revoke(tokenId) {
      // No token lives longer than this from now on, so the row can go after it.
      const expiresAt = new Date(now() + ttlSeconds * 1000).toISOString()
      await db.transaction().execute(async (transaction) => {
        await transaction.deleteFrom('revokedTokens').where('expiresAt', '<', new Date(now()).toISOString()).execute()
        await transaction
          .insertInto('revokedTokens')
          .values({ tokenId, expiresAt })
          .onConflict((conflict) => conflict.column('tokenId').doNothing())
          .execute()
      })
    },
  }
}

type Claims = Readonly<{ userId: string; tokenId: string; generation: number }>

async function readClaims(token: string, { secretKey, ttlSeconds, now }: Omit<TokenOptions, 'db'>): Promise<Claims | undefined> {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, secretKey, {
      algorithms: [algorithm],
      typ: 'JWT',
      issuer: party,
      audience: party,
      requiredClaims: ['sub', 'jti', 'iat', 'exp'],
      maxTokenAge: ttlSeconds,
      currentDate: new Date(now()),
    })
    // Ours carry these two and nothing else; a key id, a key URL or an embedded key is somebody's attempt.
    if (Object.keys(protectedHeader).length !== 2) return undefined
    return toClaims(payload, ttlSeconds)
  } catch (error) {
    if (error instanceof JOSEError) return undefined
    throw error
  }
}

function toClaims({ sub, jti, iat, exp, generation }: JWTPayload, ttlSeconds: number): Claims | undefined {
  if (typeof sub !== 'string' || typeof jti !== 'string' || typeof generation !== 'number') return undefined
  if (iat === undefined || exp === undefined || exp > iat + ttlSeconds) return undefined
  return { userId: sub, tokenId: jti, generation }
}

async function findHolder(db: Database, { userId, tokenId, generation }: Claims): Promise<UserCaller | undefined> {
  const user = await db
    .selectFrom('users')
    .select(['id', 'username', 'role'])
    .where('id', '=', userId)
    .where('tokenGeneration', '=', generation)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('revokedTokens').select('tokenId').where('tokenId', '=', tokenId))),
    )
    .executeTakeFirst()
  return user === undefined ? undefined : { type: 'user', ...user, tokenId }
}
