import { sum } from '../statistics.ts'
import type { Outcome, Verdict } from './judge.ts'
import { type Kind, kindNames } from './requests.ts'

export type Counts = Readonly<Record<Outcome, number>>
export type Fault = Readonly<{ minute: number; kind: Kind; fault: string }>

/** Counts what came of the requests. */
export interface Tally {
  add(kind: Kind, verdict: Verdict, elapsedMs: number): void
  rows(): ReadonlyArray<Counts & Readonly<{ kind: Kind }>>
  totals(): Counts
  faults(): readonly Fault[]
}

export function createTally(): Tally {
  const counts = new Map(kindNames.map((kind) => [kind, { answered: 0, left: 0, busy: 0, refused: 0, wrong: 0 }]))
  const faults: Fault[] = []
  const total = (outcome: Outcome) => sum([...counts.values()].map((one) => one[outcome]))
  return {
    add(kind, { outcome, fault }, elapsedMs) {
      const ofKind = counts.get(kind)
      if (ofKind !== undefined) ofKind[outcome] += 1
      if (fault !== undefined) faults.push({ minute: Math.floor(elapsedMs / 60_000), kind, fault })
    },
    rows: () => [...counts].map(([kind, ofKind]) => ({ kind, ...ofKind })),
    totals: () => ({
      answered: total('answered'),
      left: total('left'),
      busy: total('busy'),
      refused: total('refused'),
      wrong: total('wrong'),
    }),
    faults: () => [...faults],
  }
}
