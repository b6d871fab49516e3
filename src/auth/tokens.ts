import { type KeyObject, randomUUID } from 'node:crypto'
import { type JWTPayload, jwtVerify, SignJWT } from 'jose'
import { JOSEError } from 'jose/errors'
import type { Database } from '../storage/tables.ts'
import type { UserCaller } from './guard.ts'
import { endSessions, keepSession, listSessions, type Session, type WhichSessions } from './sessions.ts'

export type IssuedToken = Readonly<{ token: string; expiresInSeconds: number }>

export interface Tokens {
  /** `agent`: what the client calls itself, by which its user knows it again. */
  issue(user: Readonly<{ id: string; tokenGeneration: number }>, agent?: string): Promise<IssuedToken>
  /** Who holds this token now; the role is the database's. Undefined for whatever is not, or no longer, a good token. */
  findCaller(token: string): Promise<UserCaller | undefined>
  /** Logs the token of this caller out, where it came with one. */
  revoke(caller: Pick<UserCaller, 'tokenId' | 'tokenEndsAt'>): Promise<void>
  /** The logins of a user that have not ended, the newest first; 200 at most. */
  list(userId: string): Promise<readonly Session[]>
  /** Logs tokens of a user out. Gives how many there were. */
  end(userId: string, which: WhichSessions): Promise<number>
}

export type TokenOptions = Readonly<{
  secretKey: KeyObject
  ttlSeconds: number
  now: () => number
  /** By which what is old goes. */
  settledNow?: () => number
  db: Database
}>

/**
 * A token may come from so far ahead: whoever is logged in stays so where the clock is put back, be it from a year that was wrong, and where the
 * clocks of replicas differ.
 */
const longestAheadSeconds = 400 * 24 * 3600

const algorithm = 'HS256'
const party = 'simpleia'
const toTime = (ms: number) => new Date(ms).toISOString()

export function createTokens({ secretKey, ttlSeconds, now, settledNow = now, db }: TokenOptions): Tokens {
  const nowSeconds = () => Math.floor(now() / 1000)

  return {
    async issue(user, agent) {
      const tokenId = randomUUID()
      const issuedAt = nowSeconds()
      const token = await new SignJWT({ generation: user.tokenGeneration })
        .setProtectedHeader({ alg: algorithm, typ: 'JWT' })
        .setIssuer(party)
        .setAudience(party)
        .setSubject(user.id)
        .setJti(tokenId)
        .setIssuedAt(issuedAt)
        .setExpirationTime(issuedAt + ttlSeconds)
        .sign(secretKey)
      const times = {
        createdAt: toTime(now()),
        expiresAt: toTime((issuedAt + ttlSeconds) * 1000),
        overBefore: toTime(settledNow()),
      }
      await keepSession(db, { id: tokenId, user, agent, ...times })
      return { token, expiresInSeconds: ttlSeconds }
    },

    async findCaller(token) {
      const claims = await readClaims(token, { secretKey, ttlSeconds, now })
      return claims === undefined ? undefined : findHolder(db, claims)
    },

    async revoke({ tokenId, tokenEndsAt = now() + ttlSeconds * 1000 }) {
      if (tokenId === undefined) return
      // The token is of no use after this, so the row can go then.
      const expiresAt = toTime(tokenEndsAt)
      await db.transaction().execute(async (transaction) => {
        await transaction.deleteFrom('revokedTokens').where('expiresAt', '<', toTime(settledNow())).execute()
        await transaction
          .insertInto('revokedTokens')
          .values({ tokenId, expiresAt })
          .onConflict((conflict) => conflict.column('tokenId').doNothing())
          .execute()
        await transaction.deleteFrom('sessions').where('id', '=', tokenId).execute()
      })
    },

    list: (userId) => listSessions(db, userId, { now: toTime(now()), after: toTime(now() - ttlSeconds * 1000) }),
    end: (userId, which) => endSessions(db, userId, which),
  }
}

type Claims = Readonly<{ userId: string; tokenId: string; tokenEndsAt: number; generation: number }>

async function readClaims(
  token: string,
  { secretKey, ttlSeconds, now }: Pick<TokenOptions, 'secretKey' | 'ttlSeconds' | 'now'>,
): Promise<Claims | undefined> {
  try {
    const { payload, protectedHeader } = await jwtVerify(token, secretKey, {
      algorithms: [algorithm],
      typ: 'JWT',
      issuer: party,
      audience: party,
      requiredClaims: ['sub', 'jti', 'iat', 'exp'],
      currentDate: new Date(now()),
    })
    // Ours carry these two and nothing else; a key id, a key URL or an embedded key is somebody's attempt.
    if (Object.keys(protectedHeader).length !== 2) return undefined
    return toClaims(payload, { ttlSeconds, latestSeconds: now() / 1000 + longestAheadSeconds })
  } catch (error) {
    if (error instanceof JOSEError) return undefined
    throw error
  }
}

type Bounds = Readonly<{ ttlSeconds: number; latestSeconds: number }>

function toClaims({ sub, jti, iat, exp, generation }: JWTPayload, { ttlSeconds, latestSeconds }: Bounds): Claims | undefined {
  if (typeof sub !== 'string' || typeof jti !== 'string' || typeof generation !== 'number') return undefined
  if (iat === undefined || exp === undefined || iat > latestSeconds || exp > iat + ttlSeconds) return undefined
  return { userId: sub, tokenId: jti, tokenEndsAt: exp * 1000, generation }
}

async function findHolder(db: Database, { userId, tokenId, tokenEndsAt, generation }: Claims): Promise<UserCaller | undefined> {
  const user = await db
    .selectFrom('users')
    .select(['id', 'username', 'role'])
    .where('id', '=', userId)
    .where('tokenGeneration', '=', generation)
    .where(({ not, exists, selectFrom }) =>
      not(exists(selectFrom('revokedTokens').select('tokenId').where('tokenId', '=', tokenId))),
    )
    .executeTakeFirst()
  return user === undefined ? undefined : { type: 'user', ...user, tokenId, tokenEndsAt }
}
