import { randomUUID } from 'node:crypto'
import { readlinkSync } from 'node:fs'
import { hostname } from 'node:os'
import { type RawBuilder, sql } from 'kysely'
import type { Clock } from '../engine/cloud/clock.ts'
import { isPostgres } from '../storage/dialect.ts'
import { openHints } from '../storage/hints.ts'
import type { InstancesTable } from '../storage/instance-tables.ts'
import { isProcessAlive } from '../storage/left-behind.ts'
import type { Database } from '../storage/tables.ts'
import { writeOneLightly } from '../storage/write-lightly.ts'

/** The processes of the service on this database, of which this is one. */
export interface Instances {
  /** What rows say of the work that this process does. */
  readonly id: string
  /**
   * Has `mark` run now, and again whenever one of the others has gone: it marks what `isOrphaned`. Throws what `mark` throws now; later it
   * is tried again.
   */
  recover(mark: () => Promise<unknown>): Promise<void>
  /** Has `look` called when another one may have written what this one has to look at. Where it fails, the log says `problem`. */
  onLook(look: () => Promise<unknown>, problem: string): void
  /** Has the others look. */
  hint(): Promise<void>
  /** Whether there were no others when it was asked last. */
  isAlone(): boolean
  /** Leaves; to be called when all work of this process is done. */
  close(): Promise<void>
}

export type InstancesParts = Readonly<{
  db: Database
  /** As of `openStorage`. */
  url: string
  clock: Clock
  log: Readonly<{ error(details: object, message: string): void; info(details: object, message: string): void }>
}>

/** How often each is seen. */
export const beatMs = 5000
/** One that was not seen for so long has gone. */
export const goneMs = 20_000

/** Those of this process. Whatever else bears its number is of one before it, as in a container, where the number is always the same. */
const ours = new Set<string>()

/** Joins. Resolves when the others are known. */
export async function openInstances({ db, url, clock, log }: InstancesParts): Promise<Instances> {
  const id = randomUUID()
  const place = { host: hostOf(db), pid: process.pid }
  const recoveries: Array<() => Promise<unknown>> = []
  const looks: Array<() => Promise<unknown>> = []
  let others: ReadonlySet<string> = new Set()
  let suspects: Suspects = new Map()
  let isRecoveryDue = false
  let isClosed = false
  let beating: Promise<void> = Promise.resolve()
  let looking = false
  let forget: (() => void) | undefined

  function look(): void {
    if (looking || isClosed) return
    looking = true
    // What comes within a moment is looked at once.
    setImmediate(() => {
      looking = false
      if (!isClosed) for (const one of looks) void one()
    })
  }

  async function beat(): Promise<void> {
    await see(db, { id, ...place })
    const { rows, nowMs } = await listInstances(db)
    const left = rows.filter((row) => row.id !== id && hasGone(row, place, nowMs, suspects))
    suspects = stillSuspect(rows, nowMs, suspects)
    for (const row of left) await forgetInstance(db, row)
    const there = new Set(rows.filter((row) => row.id !== id && !left.includes(row)).map((row) => row.id))
    if (left.length > 0 || [...others].some((one) => !there.has(one))) isRecoveryDue = true
    if (left.length > 0) log.info({ instances: left.map((row) => row.id) }, 'Other processes of the service have gone')
    others = there
    // What one that has gone leaves is for those that are there, be it this one alone.
    const isLookDue = others.size > 0 || isRecoveryDue
    if (isRecoveryDue) for (const mark of recoveries) await mark()
    isRecoveryDue = false
    if (isLookDue) look()
  }

  function beatOn(): void {
    forget = clock.after(beatMs, () => {
      beating = beat()
        .catch((error: unknown) => log.error({ err: error }, 'The other processes of the service could not be looked at'))
        .finally(() => {
          if (!isClosed) beatOn()
        })
    })
  }

  ours.add(id)
  try {
    await beat()
  } catch (error) {
    ours.delete(id)
    throw error
  }
  const hints = openHints({ db, url, onHint: look })
  beatOn()
  return {
    id,
    async recover(mark) {
      await mark()
      recoveries.push(mark)
    },
    onLook: (one, problem) => void looks.push(() => one().catch((err: unknown) => log.error({ err }, problem))),
    // What is not told now is seen at the next beat.
    hint: () => hints.give().catch(() => {}),
    isAlone: () => others.size === 0,
    async close() {
      isClosed = true
      forget?.()
      await beating
      await hints.close()
      ours.delete(id)
      await db
        .deleteFrom('instances')
        .where('id', '=', id)
        .execute()
        .catch(() => {})
    },
  }
}

type Place = Pick<InstancesTable, 'host' | 'pid'>

/**
 * Where the number of a process means something. Processes on one SQLite file are on one machine; of those on PostgreSQL, two containers
 * may bear one name.
 */
function hostOf(db: Database): string {
  if (!isPostgres(db)) return hostname()
  try {
    return `${hostname()} ${readlinkSync('/proc/self/ns/pid')}`
  } catch {
    return hostname()
  }
}

/** Those that have not been seen for long: when they were seen last, and at how many looks that was so. */
type Suspects = ReadonlyMap<string, Readonly<{ seenAt: number; looks: number }>>

function stillSuspect(rows: readonly InstancesTable[], nowMs: number, before: Suspects): Suspects {
  const late = rows.filter((row) => isUnseen(row, nowMs))
  return new Map(
    late.map(({ id, seenAt }) => {
      const known = before.get(id)
      return [id, { seenAt, looks: known?.seenAt === seenAt ? known.looks + 1 : 1 }]
    }),
  )
}

/** Also where the clock of the database was put back: one that lives is seen again by the clock as it is. */
const isUnseen = ({ seenAt }: Pick<InstancesTable, 'seenAt'>, nowMs: number) => Math.abs(nowMs - seenAt) > goneMs

function hasGone(row: InstancesTable, place: Place, nowMs: number, suspects: Suspects): boolean {
  if (row.host === place.host) {
    if (row.pid === place.pid) return !ours.has(row.id)
    if (!isProcessAlive(row.pid)) return true
  }
  // Where the clock of the database has jumped, or nobody could reach it for long, those that live are seen again meanwhile.
  const suspect = suspects.get(row.id)
  return isUnseen(row, nowMs) && suspect?.seenAt === row.seenAt && suspect.looks >= 2
}

const nowOf = (db: Database): RawBuilder<number> =>
  isPostgres(db)
    ? sql<number>`cast(extract(epoch from clock_timestamp()) * 1000 as bigint)`
    : sql<number>`cast(unixepoch('subsec') * 1000 as integer)`

/** One that was taken for gone, and has not, is there again. */
async function see(db: Database, row: Pick<InstancesTable, 'id'> & Place): Promise<void> {
  const now = nowOf(db)
  await writeOneLightly(db, (through) =>
    through
      .insertInto('instances')
      .values({ ...row, startedAt: now, seenAt: now })
      .onConflict((conflict) => conflict.column('id').doUpdateSet({ seenAt: now }))
      .execute(),
  )
}

async function listInstances(db: Database): Promise<Readonly<{ rows: readonly InstancesTable[]; nowMs: number }>> {
  const found = await db.selectFrom('instances').selectAll().select(nowOf(db).as('nowMs')).execute()
  return { rows: found, nowMs: found[0]?.nowMs ?? 0 }
}

/** Unless it was seen meanwhile. */
async function forgetInstance(db: Database, { id, seenAt }: InstancesTable): Promise<void> {
  await db.deleteFrom('instances').where('id', '=', id).where('seenAt', '=', seenAt).execute()
}
