import { sql } from 'kysely'
import { AppError } from '../errors.ts'
import type { Database } from './tables.ts'

const timeoutMs = 2000
/** What was found holds for so long, so that whoever asks often asks the database seldom. */
const freshMs = 1000

/** Gives what asks whether the database answers. It throws `unavailable` where it does not, after some seconds at most. */
export function createDatabaseCheck(db: Database, now: () => number = () => performance.now()): () => Promise<void> {
  let checkedAt = Number.NEGATIVE_INFINITY
  let checking: Promise<void> = Promise.resolve()
  return () => {
    if (now() - checkedAt < freshMs) return checking
    checkedAt = now()
    checking = check(db)
    return checking
  }
}

async function check(db: Database): Promise<void> {
  const late = Promise.withResolvers<never>()
  const timer = setTimeout(() => late.reject(new Error('late')), timeoutMs)
  try {
    await Promise.race([sql`select 1`.execute(db), late.promise])
  } catch (cause) {
    throw new AppError('unavailable', 'The database does not answer.', { cause, retryAfterSeconds: 1 })
  } finally {
    clearTimeout(timer)
  }
}
