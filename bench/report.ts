import type { MeasureName } from './arguments.ts'
import { metricsOf } from './measures.ts'
import { percentile } from './statistics.ts'

/** For each metric, for each target, the values of each round. */
export type Values = ReadonlyMap<string, ReadonlyMap<string, ReadonlyArray<readonly number[]>>>

export type Summary = Readonly<{ metric: string; unit: string; values: Readonly<Record<string, number>> }>

/** The median over all rounds (or the percentile that the metric is of), for each target. */
export function summarize(values: Values, measures: readonly MeasureName[], clients: readonly number[]): readonly Summary[] {
  return measures
    .flatMap((measure) => metricsOf(measure, clients))
    .map(({ name, unit, percent }) => {
      const targets = [...(values.get(name) ?? new Map())]
      const summed = targets.map(([target, rounds]) => [target, percentile(rounds.flat(), percent)] as const)
      return { metric: name, unit, values: Object.fromEntries(summed) }
    })
    .filter((summary) => Object.values(summary.values).some(Number.isFinite))
}

/** One line a metric, one column a target; behind each other target's value, the first target's as a multiple of it. */
export function formatTable(summaries: readonly Summary[], targets: readonly string[]): string {
  const [ours = ''] = targets
  const header = ['', 'unit', ...targets.flatMap((target) => (target === ours ? [target] : [target, 'ratio']))]
  const lines = summaries.map(({ metric, unit, values }) => [
    metric,
    unit,
    ...targets.flatMap((target) => {
      const value = values[target]
      if (target === ours) return [formatNumber(value)]
      return [formatNumber(value), value === undefined ? '' : formatRatio((values[ours] ?? Number.NaN) / value)]
    }),
  ])
  return alignColumns([header, ...lines])
}

function formatNumber(value = Number.NaN): string {
  if (!Number.isFinite(value)) return '–'
  return value >= 1000 ? Math.round(value).toLocaleString('en-US') : value.toPrecision(3)
}

const formatRatio = (ratio: number) => (Number.isFinite(ratio) ? `${ratio.toFixed(2)}×` : '')

/** The first column to the left, the others to the right. */
export function alignColumns(rows: ReadonlyArray<readonly string[]>): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
