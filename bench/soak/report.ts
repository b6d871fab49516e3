import type { Say } from '../messages.ts'
import { alignColumns } from '../report.ts'
import { type CheckName, checkNames } from './checks.ts'
import { outcomes } from './judge.ts'
import type { Growth, Sample } from './memory.ts'
import type { Counts, Fault, Tally } from './tally.ts'

/** The faults that are written out; a file has them all. */
const shownFaults = 10

export function formatMinute(minute: number, counts: Counts, sample: Sample | undefined, say: Say): string {
  const memory = (sample?.processes ?? []).map(
    ({ program, residentBytes, anonymousBytes }) => `${program} ${mebibytes(residentBytes)} (${mebibytes(anonymousBytes)})`,
  )
  return say('soakMinute', { minute, ...counts, memory: memory.join(', ') || '–' })
}

/** One line a kind of request, one column an outcome. */
export function formatRequests(tally: Tally): string {
  const rows = [...tally.rows(), { kind: 'all', ...tally.totals() }]
  const lines = rows.map((row) => [row.kind, ...outcomes.map((outcome) => String(row[outcome]))])
  return alignColumns([['requests', ...outcomes], ...lines])
}

export function formatMemory(growths: readonly Growth[], settledMinute: number): string {
  const header = [
    'memory in MiB',
    `minute ${formatMinutes(settledMinute)}–${formatMinutes(settledMinute + 1)}`,
    'last minute',
    'most after',
    'growth',
  ]
  const lines = growths.map(({ program, kind, settledBytes, lastBytes, mostBytes, growth }) => [
    `${program}, ${kind}`,
    ...[settledBytes, lastBytes, mostBytes].map(mebibytes),
    `${(growth * 100).toFixed(1)} %`,
  ])
  return alignColumns([header, ...lines])
}

export function formatFaults(faults: readonly Fault[], say: Say): readonly string[] {
  const shown = faults.slice(0, shownFaults).map(({ minute, kind, fault }) => `  ${say('soakFault', { minute, kind, fault })}`)
  return faults.length > shownFaults ? [...shown, `  … ${faults.length}`] : shown
}

export function formatChecks(checks: Readonly<Record<CheckName, boolean>>, say: Say): readonly string[] {
  return checkNames.map((name) => `${checks[name] ? '✓' : '✗'} ${say(`soak-${name}`)}`)
}

const mebibytes = (bytes: number) => (bytes / 2 ** 20).toFixed(1)
const formatMinutes = (minutes: number) => String(Math.round(minutes * 10) / 10)
