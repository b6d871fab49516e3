import type { AuditTable } from '../../storage/admin-tables.ts'
import { ifGiven } from '../../storage/if-given.ts'
import { isBehind, toPage } from '../../storage/place-cursor.ts'
import type { Database } from '../../storage/tables.ts'
import type { AuditEntry } from './audit-entry.ts'

export type AuditFilter = Readonly<{
  usernameKey?: string | undefined
  action?: string | undefined
  /** Times in ISO 8601, UTC: at or after `from`, before `to`. */
  from?: string | undefined
  to?: string | undefined
}>

export type AuditPlace = Readonly<{ limit: number; cursor?: string | undefined }>

export async function insertAudit(db: Database, entries: readonly AuditEntry[]): Promise<void> {
  await db.insertInto('audit').values(entries).execute()
}

/** Newest first. Throws `invalid` for a cursor that is not one of ours. */
export async function listAudit(
  db: Database,
  { usernameKey, action, from, to }: AuditFilter,
  { limit, cursor }: AuditPlace,
): Promise<Readonly<{ items: readonly AuditTable[]; nextCursor: string | undefined }>> {
  const rows = await db
    .selectFrom('audit')
    .selectAll()
    .$call(ifGiven(usernameKey, (query, usernameKey) => query.where('usernameKey', '=', usernameKey)))
    .$call(ifGiven(action, (query, action) => query.where('action', '=', action)))
    .$call(ifGiven(from, (query, from) => query.where('createdAt', '>=', from)))
    .$call(ifGiven(to, (query, to) => query.where('createdAt', '<', to)))
    .where(isBehind(cursor))
    .orderBy('createdAt', 'desc')
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  return toPage(rows, limit)
}

/** All of them, some at a time. */
export async function* allAudit(db: Database, filter: AuditFilter, first: string | undefined): AsyncGenerator<AuditTable> {
  for (let cursor = first; ; ) {
    const { items, nextCursor } = await listAudit(db, filter, { limit: 500, cursor })
    yield* items
    if (nextCursor === undefined) return
    cursor = nextCursor
  }
}

const yearMs = 365 * 24 * 3600_000

/** What was done in vain is kept so often: who is refused for weeks fills no disk. */
const mostInVain = 100_000

/** What is older than a year goes, and of what was done in vain the oldest past a bound. */
export async function pruneAudit(db: Database, nowMs: number, most = mostInVain): Promise<void> {
  await db
    .deleteFrom('audit')
    .where('createdAt', '<', new Date(nowMs - yearMs).toISOString())
    .execute()
  const tooMany = db
    .selectFrom('audit')
    .select('id')
    .where('outcome', '<>', 'done')
    .orderBy('createdAt', 'desc')
    .orderBy('id', 'desc')
    // All: SQLite knows no offset without a limit, and PostgreSQL none that is negative.
    .limit(Number.MAX_SAFE_INTEGER)
    .offset(most)
  await db.deleteFrom('audit').where('id', 'in', tooMany).execute()
}
