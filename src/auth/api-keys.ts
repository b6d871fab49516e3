import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { AppError } from '../errors.ts'
import { isBehind, toPage } from '../storage/place-cursor.ts'
import type { ApiKeysTable, Database } from '../storage/tables.ts'
import type { Quota } from '../usage/quota.ts'
import type { UserCaller } from './guard.ts'
import { type KeyScope, keyScopes } from './key-scopes.ts'

export type ApiKey = Readonly<{
  id: string
  userId: string
  username: string
  name: string
  lastFour: string
  scopes: readonly KeyScope[]
  quota: Quota
  createdAt: string
  expiresAt: string | null
  lastUsedAt: string | null
}>
export type NewApiKey = Readonly<{
  name: string
  scopes: readonly KeyScope[]
  quota: Quota
  /** A time as in ISO 8601. Undefined: it lives until somebody deletes it. */
  expiresAt: string | undefined
}>
export type ApiKeyPage = Readonly<{ items: readonly ApiKey[]; nextCursor: string | undefined }>

export interface ApiKeys {
  /**
   * Makes a key, and gives it for the only time. Throws `invalid` (it would have expired), `forbidden` (the scope `admin` for
   * somebody who is none), `conflict` (too many keys).
   */
  create(owner: Pick<UserCaller, 'id' | 'role'>, key: NewApiKey): Promise<Readonly<{ key: string; created: ApiKey }>>
  /** Who holds this key now; undefined for whatever is not, or no longer, a good key. Notes that it was used. */
  findCaller(key: string): Promise<UserCaller | undefined>
  /** The keys of one user, or of all; newest first. Throws `invalid` for a cursor that is none. */
  list(options: Readonly<{ userId?: string; limit: number; cursor: string | undefined }>): Promise<ApiKeyPage>
  /** Of this user, or of anybody. Throws `not_found`. */
  remove(id: string, userId?: string): Promise<void>
}

export const mostKeys = 50
/** How exactly the last use is known: a write for each request would be too many. */
const lastUsedStepMs = 60_000

const shape = /^sk-simpleia-([0-9a-f]{16})-([A-Za-z0-9_-]{43})$/

/** Whether a text has the shape of our keys. What clients send in the place of one ("sk-none", "ollama") has not. */
export function isApiKey(text: string): boolean {
  return shape.test(text)
}

/** The part of a key that people may see. */
export const prefixOf = (id: string) => `sk-simpleia-${id}`

export function createApiKeys({ db, now }: Readonly<{ db: Database; now: () => number }>): ApiKeys {
  return {
    create: (owner, key) => create(db, now(), owner, key),
    findCaller: (key) => findCaller(db, now(), key),
    list: (options) => list(db, options),
    async remove(id, userId) {
      const one = db.deleteFrom('apiKeys').where('id', '=', id)
      const { numDeletedRows } = await (userId === undefined ? one : one.where('userId', '=', userId)).executeTakeFirst()
      if (numDeletedRows === 0n) throw new AppError('not_found', `No API key has the id "${id}".`)
    },
  }
}

async function create(db: Database, nowMs: number, owner: Pick<UserCaller, 'id' | 'role'>, key: NewApiKey) {
  const { name, scopes, quota, expiresAt } = key
  // A leap second has the right format, and is no time to JavaScript.
  if (expiresAt !== undefined && !(Date.parse(expiresAt) > nowMs)) throw notToCome(expiresAt)
  if (scopes.includes('admin') && owner.role !== 'admin')
    throw new AppError('forbidden', 'Only an admin can make a key with the scope "admin".')
  const id = randomBytes(8).toString('hex')
  const secret = randomBytes(32).toString('base64url')
  await db.transaction().execute(async (transaction) => {
    const { count } = await transaction
      .selectFrom('apiKeys')
      .select(({ fn }) => fn.countAll<number>().as('count'))
      .where('userId', '=', owner.id)
      .executeTakeFirstOrThrow()
    if (Number(count) >= mostKeys)
      throw new AppError('conflict', `You have ${mostKeys} API keys, which is the most. Delete one that you no longer use.`)
    const createdAt = new Date(nowMs).toISOString()
    const row = { id, userId: owner.id, name, secretHash: hashOf(secret), lastFour: secret.slice(-4), ...quota }
    await transaction
      .insertInto('apiKeys')
      .values({
        ...row,
        scopes: JSON.stringify(scopes),
        createdAt,
        expiresAt: expiresAt === undefined ? null : new Date(expiresAt).toISOString(),
      })
      .execute()
  })
  const created = await rows(db).where('apiKeys.id', '=', id).executeTakeFirstOrThrow()
  return { key: `${prefixOf(id)}-${secret}`, created: toApiKey(created) }
}

function notToCome(got: string): AppError {
  const details = [{ field: 'expires_at', expected: 'a time to come', got }]
  return new AppError('invalid', `"expires_at" must be a time to come, but is ${got}.`, { details })
}

// The secret is 256 random bits: no guessing is made harder by a slow hash.
const hashOf = (secret: string) => createHash('sha256').update(secret).digest('hex')

async function findCaller(db: Database, nowMs: number, key: string): Promise<UserCaller | undefined> {
  const [, id, secret] = shape.exec(key) ?? []
  if (id === undefined || secret === undefined) return undefined
  const found = await db
    .selectFrom('apiKeys')
    .innerJoin('users', 'users.id', 'apiKeys.userId')
    .select(['users.id', 'users.username', 'users.role', 'secretHash', 'scopes', 'expiresAt', 'lastUsedAt'])
    .where('apiKeys.id', '=', id)
    .executeTakeFirst()
  if (found === undefined || !isSame(found.secretHash, hashOf(secret))) return undefined
  if (found.expiresAt !== null && Date.parse(found.expiresAt) <= nowMs) return undefined
  await noteUse(db, nowMs, id, found.lastUsedAt)
  const { username, role } = found
  return { type: 'user', id: found.id, username, role, key: { id, scopes: readScopes(found.scopes) } }
}

function isSame(one: string, other: string): boolean {
  return one.length === other.length && timingSafeEqual(Buffer.from(one), Buffer.from(other))
}

async function noteUse(db: Database, nowMs: number, id: string, lastUsedAt: string | null): Promise<void> {
  if (lastUsedAt !== null && Math.abs(nowMs - Date.parse(lastUsedAt)) < lastUsedStepMs) return
  const update = db
    .updateTable('apiKeys')
    .set({ lastUsedAt: new Date(nowMs).toISOString() })
    .where('id', '=', id)
  // A full disk is no reason to refuse a good key.
  await update.execute().catch(() => undefined)
}

type Row = Omit<ApiKeysTable, 'secretHash'> & Readonly<{ username: string }>

function rows(db: Database) {
  return db
    .selectFrom('apiKeys')
    .innerJoin('users', 'users.id', 'apiKeys.userId')
    .select(['apiKeys.id', 'userId', 'username', 'name', 'lastFour', 'scopes', 'expiresAt', 'lastUsedAt', 'apiKeys.createdAt'])
    .select(['apiKeys.requestsPerDay', 'apiKeys.tokensPerDay', 'apiKeys.costMicrosPerDay'])
}

function toApiKey({ scopes, requestsPerDay, tokensPerDay, costMicrosPerDay, ...row }: Row): ApiKey {
  return { ...row, scopes: readScopes(scopes), quota: { requestsPerDay, tokensPerDay, costMicrosPerDay } }
}

/** A scope that this version does not know allows nothing. */
function readScopes(text: string): readonly KeyScope[] {
  const known: readonly string[] = JSON.parse(text)
  return keyScopes.filter((scope) => known.includes(scope))
}

async function list(
  db: Database,
  { userId, limit, cursor }: { userId?: string; limit: number; cursor: string | undefined },
): Promise<ApiKeyPage> {
  const all = rows(db)
  const found = await (userId === undefined ? all : all.where('userId', '=', userId))
    .where(isBehind(cursor, 'apiKeys.createdAt', 'apiKeys.id'))
    .orderBy('apiKeys.createdAt', 'desc')
    .orderBy('apiKeys.id', 'desc')
    .limit(limit + 1)
    .execute()
  const { items, nextCursor } = toPage(found, limit)
  return { items: items.map(toApiKey), nextCursor }
}
