import { setImmediate } from 'node:timers/promises'
import type { Database } from '../../storage/tables.ts'
import { writeLightly } from '../../storage/write-lightly.ts'
import { type Minute, minuteMs } from './running-minute.ts'
import { addTally, bothOf, emptyTally, readTally, type Tally, writeTally } from './tally.ts'

export const hourMs = 60 * minuteMs
/** Minutes older than this are added up to hours. */
export const minutesKeptMs = 48 * hourMs
/** Hours older than this go. */
export const hoursKeptMs = 365 * 24 * hourMs

/** Rows that are read and parsed at once. */
const rowsPerPiece = 300

const toText = (ms: number): string => new Date(ms).toISOString()

export async function saveMinutes(db: Database, minutes: readonly Minute[]): Promise<void> {
  if (minutes.length === 0) return
  const rows = minutes.map(({ startMs, tally }) => ({
    startedAt: toText(startMs),
    seconds: 60 as const,
    tally: writeTally(tally),
  }))
  await writeLightly(db, async (transaction) => void (await transaction.insertInto('history').values(rows).execute()))
}

type Period = Readonly<{ fromMs: number; toMs: number }>

/**
 * The stretches that begin in a period, in their order. What several processes have written of a minute is one; an hour may come more than
 * once, each time with a part of it.
 */
export async function* readStretches(db: Database, period: Period): AsyncGenerator<Minute> {
  let minute: Minute | undefined
  for await (const { seconds, ...stretch } of readRows(db, period)) {
    if (seconds === 60 && minute?.startMs === stretch.startMs) addTally(minute.tally, stretch.tally, bothOf)
    else {
      if (minute !== undefined) yield minute
      minute = stretch
    }
  }
  if (minute !== undefined) yield minute
}

async function* readRows(db: Database, { fromMs, toMs }: Period): AsyncGenerator<Minute & Readonly<{ seconds: number }>> {
  let after = { startedAt: '', id: 0 }
  for (;;) {
    const rows = await db
      .selectFrom('history')
      .select(['id', 'startedAt', 'seconds', 'tally'])
      .where('startedAt', '>=', toText(fromMs))
      .where('startedAt', '<', toText(toMs))
      .where(({ eb, refTuple, tuple }) => eb(refTuple('startedAt', 'id'), '>', tuple(after.startedAt, after.id)))
      .orderBy('startedAt')
      .orderBy('id')
      .limit(rowsPerPiece)
      .execute()
    for (const { startedAt, seconds, tally } of rows) yield { startMs: Date.parse(startedAt), seconds, tally: readTally(tally) }
    const last = rows.at(-1)
    if (rows.length < rowsPerPiece || last === undefined) return
    after = last
    await setImmediate()
  }
}

/** Adds the minutes that are older than two days up to hours, one hour at a time, and tells how many hours that were. */
export async function rollUp(db: Database, nowMs: number, signal?: AbortSignal): Promise<number> {
  const end = Math.floor((nowMs - minutesKeptMs) / hourMs) * hourMs
  for (let hours = 0; ; hours += 1) {
    const oldest = await db
      .selectFrom('history')
      .select('startedAt')
      .where('seconds', '=', 60)
      .where('startedAt', '<', toText(end))
      .orderBy('startedAt')
      .limit(1)
      .executeTakeFirst()
    if (oldest === undefined || signal?.aborted === true) return hours
    await rollUpHour(db, Math.floor(Date.parse(oldest.startedAt) / hourMs) * hourMs)
    await setImmediate()
  }
}

async function rollUpHour(db: Database, startMs: number): Promise<void> {
  await db.transaction().execute(async (transaction) => {
    const rows = await transaction
      .deleteFrom('history')
      .where('seconds', '=', 60)
      .where('startedAt', '>=', toText(startMs))
      .where('startedAt', '<', toText(startMs + hourMs))
      .returning(['startedAt', 'tally'])
      .execute()
    // Another process may have been faster.
    if (rows.length === 0) return
    const minutes = new Map<string, Tally>()
    for (const { startedAt, tally } of rows) {
      const minute = minutes.get(startedAt)
      if (minute === undefined) minutes.set(startedAt, readTally(tally))
      else addTally(minute, readTally(tally), bothOf)
    }
    const sum: Tally = emptyTally()
    for (const minute of minutes.values()) addTally(sum, minute)
    await transaction
      .insertInto('history')
      .values({ startedAt: toText(startMs), seconds: 3600, tally: writeTally(sum) })
      .execute()
  })
}

export async function pruneHistory(db: Database, nowMs: number): Promise<void> {
  await db
    .deleteFrom('history')
    .where('startedAt', '<', toText(nowMs - hoursKeptMs))
    .execute()
}
