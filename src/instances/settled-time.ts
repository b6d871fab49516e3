import type { Clock } from '../engine/cloud/clock.ts'
import type { Database } from '../storage/tables.ts'

/** The time by which what is old is deleted. It is never ahead of the clock. */
export interface SettledTime {
  /** Milliseconds since 1970. */
  now(): number
  close(): Promise<void>
}

export type SettledTimeParts = Readonly<{
  db: Database
  /** Milliseconds since 1970, by a clock that may be set. */
  now: () => number
  clock: Clock
}>

const hourMs = 3600_000
/** A service may have been off for so long without a doubt. */
const restMs = 30 * 24 * hourMs
/** How much faster than time it follows a clock that is ahead: a day for each hour. */
const speed = 24

/**
 * Follows the clock, but not at once where that jumps forward: what was set by mistake deletes little before somebody notices, and a machine
 * that has slept is followed within the hour. What it has come to is kept in the database, for the next start.
 */
export async function openSettledTime({ db, now, clock }: SettledTimeParts): Promise<SettledTime> {
  const kept = await findKept(db)
  let reached = kept !== undefined && kept < now() - restMs ? kept : now()
  let lookedAt = clock.now()
  let keeping: Promise<void> = Promise.resolve()

  function settle(): number {
    const at = clock.now()
    reached = Math.max(reached, Math.min(now(), reached + (at - lookedAt) * (speed + 1)))
    lookedAt = at
    return Math.min(now(), reached)
  }
  function keep(): Promise<void> {
    settle()
    // Without it the next start trusts its clock somewhat less, or more.
    keeping = keeping.then(() => save(db, reached)).catch(() => {})
    return keeping
  }
  function keepOn(): void {
    void keep()
    forget = clock.after(hourMs, keepOn)
  }

  if (kept === undefined) await keep()
  let forget = clock.after(hourMs, keepOn)
  return {
    now: settle,
    close() {
      forget()
      return keep()
    },
  }
}

async function findKept(db: Database): Promise<number | undefined> {
  const row = await db.selectFrom('sharedState').select('value').where('name', '=', 'settled-time').executeTakeFirst()
  const ms = row === undefined ? Number.NaN : Number(row.value)
  return Number.isFinite(ms) ? ms : undefined
}

async function save(db: Database, ms: number): Promise<void> {
  const row = { version: 1, value: String(Math.round(ms)) }
  await db
    .insertInto('sharedState')
    .values({ name: 'settled-time', ...row })
    .onConflict((conflict) => conflict.column('name').doUpdateSet(row))
    .execute()
}
