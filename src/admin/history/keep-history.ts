import type { Clock } from '../../engine/cloud/clock.ts'
import type { Database } from '../../storage/tables.ts'
import { createTurns } from '../in-turn.ts'
import type { HistoryAnswer } from '../schema.ts'
import type { Grid } from './history-grid.ts'
import { hourMs, pruneHistory, rollUp, saveMinutes } from './history-rows.ts'
import { readHistory } from './read-history.ts'
import type { Minute, RunningMinute } from './running-minute.ts'

/** How often is looked at what is in memory and at work, and whether a minute is over. */
export const sampleMs = 10_000
/** Minutes that wait for a database that cannot be written to; past these the oldest are given up. */
const mostWaiting = 120

export type HistoryKeeper = Readonly<{
  /** With the minute that runs. */
  read(grid: Grid): Promise<HistoryAnswer>
  /** Writes the minute that runs, too. */
  close(): Promise<void>
}>

export type HistoryKeeperParts = Readonly<{
  db: Database
  running: RunningMinute
  clock: Clock
  /** Milliseconds since 1970, by which what is old goes. */
  now: () => number
  log: Readonly<{ error(fields: object, message: string): void }>
  /** Told of each write that has failed. */
  onFailure: () => void
  /** What else is to be thrown away when it is old; called once an hour. */
  pruneMore: (nowMs: number) => Promise<void>
}>

/** Writes each minute that is over, adds old ones up to hours and throws the oldest away, until it is closed. */
export function keepHistory(parts: HistoryKeeperParts): HistoryKeeper {
  const { db, running, clock, now, log, onFailure, pruneMore } = parts
  const inTurn = createTurns()
  const closing = new AbortController()
  let waiting: Minute[] = []
  let isBehind = false
  let tidiedHour = Number.NaN
  let stop = clock.after(sampleMs, tick)

  function tick(): void {
    stop = clock.after(sampleMs, tick)
    running.sample()
    // A disk that is slow for longer than that needs no second one who waits.
    if (isBehind) return
    isBehind = true
    void inTurn(async () => {
      await write()
      await tidy()
      isBehind = false
    })
  }

  async function write(): Promise<void> {
    waiting.push(...running.takeOver())
    try {
      await saveMinutes(db, waiting)
      waiting = []
    } catch (error) {
      onFailure()
      log.error({ err: error, minutes: waiting.length }, 'The history could not be written')
      const lost = waiting.splice(0, waiting.length - mostWaiting).length
      if (lost > 0) log.error({ lost }, 'Minutes of the history were given up')
    }
  }

  async function tidy(): Promise<void> {
    const hour = Math.floor(now() / hourMs)
    if (hour === tidiedHour) return
    tidiedHour = hour
    try {
      await rollUp(db, now(), closing.signal)
      await pruneHistory(db, now())
      await pruneMore(now())
    } catch (error) {
      log.error({ err: error }, 'Old history could not be added up or deleted')
    }
  }

  return {
    // In turn: what is written while it is read would be counted twice, or never.
    read: (grid) =>
      inTurn(() => {
        waiting.push(...running.takeOver())
        return readHistory(db, [...waiting, running.current()], grid)
      }),
    async close() {
      stop()
      closing.abort()
      running.sample()
      running.end()
      await inTurn(write)
    },
  }
}
