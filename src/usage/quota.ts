import type { Database } from '../storage/tables.ts'

/** What may be used in a UTC day, as it is stored. Null: nothing was said; 0 (users alone): without limit. */
export type Quota = Readonly<{
  requestsPerDay: number | null
  tokensPerDay: number | null
  /** Millionths of a US dollar. */
  costMicrosPerDay: number | null
}>

/** What holds for users of whom nothing else is said; 0: without limit. */
export type DefaultQuota = Readonly<{ requestsPerDay: number; tokensPerDay: number }>

/** What holds for somebody or something in a day; undefined: without limit. */
export type Limits = Readonly<{ requests: number | undefined; tokens: number | undefined; costMicros: number | undefined }>

/** Whose usage is counted. */
export type Subject = Readonly<{
  /** `user:ID`, `key:ID`, or `provider:NAME`. */
  name: string
  kind: 'user' | 'key' | 'provider'
  limits: Limits
}>

export const withoutLimits: Limits = { requests: undefined, tokens: undefined, costMicros: undefined }

export function limitsOf(quota: Quota, { requestsPerDay, tokensPerDay }: DefaultQuota): Limits {
  const limit = (own: number | null, usual: number) => (own ?? usual) || undefined
  return {
    requests: limit(quota.requestsPerDay, requestsPerDay),
    tokens: limit(quota.tokensPerDay, tokensPerDay),
    costMicros: limit(quota.costMicrosPerDay, 0),
  }
}

const columns = ['requestsPerDay', 'tokensPerDay', 'costMicrosPerDay'] as const
const noDefaults: DefaultQuota = { requestsPerDay: 0, tokensPerDay: 0 }

/** The user and the key that ask, with what holds for them now. Somebody or something that was deleted meanwhile is left out. */
export async function findSubjects(
  db: Database,
  { userId, keyId }: Readonly<{ userId: string | undefined; keyId: string | undefined }>,
  defaults: DefaultQuota,
): Promise<readonly Subject[]> {
  const subjects: Subject[] = []
  if (userId !== undefined) {
    const user = await db.selectFrom('users').select(columns).where('id', '=', userId).executeTakeFirst()
    if (user !== undefined) subjects.push({ name: `user:${userId}`, kind: 'user', limits: limitsOf(user, defaults) })
  }
  if (keyId !== undefined) {
    const key = await db.selectFrom('apiKeys').select(columns).where('id', '=', keyId).executeTakeFirst()
    if (key !== undefined) subjects.push({ name: `key:${keyId}`, kind: 'key', limits: limitsOf(key, noDefaults) })
  }
  return subjects
}
