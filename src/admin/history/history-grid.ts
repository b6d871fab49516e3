import { AppError } from '../../errors.ts'
import { readPeriod } from '../../http/read-time.ts'
import type { HistoryQuery } from '../schema.ts'
import { hourMs, minutesKeptMs } from './history-rows.ts'
import { minuteMs } from './running-minute.ts'

/** Stretches of one length, of which the first begins at `fromMs`; the last one ends with or after `toMs`. */
export type Grid = Readonly<{ fromMs: number; toMs: number; stepMs: number; count: number }>

const dayMs = 24 * hourMs
const steps = [1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720].map((minutes) => minutes * minuteMs)

/** Throws `invalid` for times that are none, and where `from` is not before `to`. */
export function readGrid(query: Pick<HistoryQuery, 'from' | 'to' | 'points'>, nowMs: number): Grid {
  const { from, to, points = 120 } = query
  const period = readPeriod({ ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) })
  // Of what is to come nothing is known.
  const toMs = Math.min(period.to === undefined ? nowMs : Date.parse(period.to), nowMs)
  const fromMs = period.from === undefined ? toMs - hourMs : Date.parse(period.from)
  if (fromMs >= toMs) {
    const [expected, got] = ['before "to", and in the past', new Date(fromMs).toISOString()]
    throw new AppError('invalid', `"from" must be ${expected}, but is ${got}.`, { details: [{ field: 'from', expected, got }] })
  }
  // What is older is known by the hour only.
  const leastMs = fromMs < nowMs - minutesKeptMs ? hourMs : minuteMs
  const stepMs = chooseStep({ fromMs, toMs, points, leastMs })
  // An hour or a minute is counted whole: what is told of it is to say so.
  const endMs = Math.min(Math.ceil(toMs / leastMs) * leastMs, nowMs)
  return { fromMs: Math.floor(fromMs / stepMs) * stepMs, toMs: endMs, stepMs, count: countOf(fromMs, endMs, stepMs) }
}

const countOf = (fromMs: number, toMs: number, stepMs: number): number => Math.ceil(toMs / stepMs) - Math.floor(fromMs / stepMs)

type Wish = Readonly<{ fromMs: number; toMs: number; points: number; leastMs: number }>

function chooseStep({ fromMs, toMs, points, leastMs }: Wish): number {
  const fits = (stepMs: number) => countOf(fromMs, toMs, stepMs) <= points
  const step = steps.find((stepMs) => stepMs >= leastMs && fits(stepMs))
  if (step !== undefined) return step
  let days = Math.max(1, Math.floor((toMs - fromMs) / dayMs / points))
  while (!fits(days * dayMs)) days += 1
  return days * dayMs
}
