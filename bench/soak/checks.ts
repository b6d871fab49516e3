import type { Growth, Sample } from './memory.ts'
import { type FullHouse, isIdle, type Occupancy } from './slots.ts'
import type { Tally } from './tally.ts'

/** Memory may have grown by this part of what it was when it had settled. */
const growthLimit = 0.05
/** At the end the service must be at least this fast, as a part of what it was at the start. */
const speedLimit = 0.9

export type Findings = Readonly<{
  tally: Tally
  /** How many answers the service writes at once. */
  places: number
  /** All places in use, before and after the load. */
  before: FullHouse
  after: FullHouse
  /** What the service said when all clients had left. */
  occupancy: Occupancy & Readonly<{ afterMs: number }>
  samples: readonly Sample[]
  growths: readonly Growth[]
}>

export const checkNames = ['answers', 'places', 'speed', 'memory', 'processes'] as const
export type CheckName = (typeof checkNames)[number]

/** Whether the service kept what it promises, check by check. */
export function checkFindings(findings: Findings): Readonly<Record<CheckName, boolean>> {
  const { tally, places, before, after, occupancy, samples, growths } = findings
  const { answered, wrong } = tally.totals()
  const processes = new Set(samples.map((sample) => sample.processes.map(({ pid }) => pid).join(' ')))
  return {
    answers: answered > 0 && wrong === 0,
    places: isIdle(occupancy) && before.together === places && after.together === places,
    speed: after.tokensPerSecond >= speedLimit * before.tokensPerSecond,
    // None where this machine does not tell: nobody can say that it has not grown.
    memory: growths.length > 0 && growths.every(({ growth }) => growth <= growthLimit),
    processes: processes.size === 1,
  }
}
