import type { Database } from '../storage/tables.ts'
import type { PredictionOwner } from './prediction.ts'

/** Whom an admin means: a username, or `user:ID` and `address:…` as answers say it. A name that nobody has owns nothing. */
export async function findOwner(db: Database, name: string): Promise<PredictionOwner> {
  const [, id] = /^user:(.+)$/.exec(name) ?? []
  if (id !== undefined) return { key: name, userId: id }
  if (name.includes(':')) return { key: name, userId: undefined }
  const usernameKey = name.normalize('NFKC').toLowerCase()
  const user = await db.selectFrom('users').select('id').where('usernameKey', '=', usernameKey).executeTakeFirst()
  return { key: name, userId: user?.id ?? '' }
}
