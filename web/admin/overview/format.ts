import { formatBytes, formatCompact, formatNumber, formatPercent, formatSeconds, language } from '../../shell/language.svelte.ts'
import type { Unit } from './series.ts'

/** A number of a chart as people write it. */
export function formatValue(value: number, unit: Unit): string {
  switch (unit) {
    case 'milliseconds':
      return formatMilliseconds(value)
    case 'share':
      return formatPercent(value)
    case 'bytes':
      return formatBytes(value)
    case 'loss':
      return formatNumber(value, 3)
    case 'rate':
      return formatNumber(value)
    case 'count':
      return value >= 10_000 ? formatCompact(value) : formatNumber(value)
  }
}

export function formatMilliseconds(value: number): string {
  if (value >= 1000) return formatSeconds(value / 1000)
  return value.toLocaleString(language(), {
    style: 'unit',
    unit: 'millisecond',
    unitDisplay: 'short',
    maximumFractionDigits: value < 10 ? 1 : 0,
  })
}

const daySeconds = 24 * 3600

/** The time of a point at the axis: as little of it as the whole range needs. */
export function formatAxisTime(iso: string, rangeSeconds: number): string {
  const clock = { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' } as const
  const day = { day: 'numeric', month: 'short' } as const
  if (rangeSeconds <= daySeconds) return new Date(iso).toLocaleTimeString(language(), clock)
  return new Date(iso).toLocaleString(language(), rangeSeconds <= 8 * daySeconds ? { ...day, ...clock } : day)
}

/** The time of a point in full. */
export function formatPointTime(iso: string): string {
  return new Date(iso).toLocaleString(language(), {
    day: 'numeric',
    month: 'short',
    hour: '2-digit',
    minute: '2-digit',
    second: '2-digit',
    hourCycle: 'h23',
  })
}

export function formatClock(time: number): string {
  return new Date(time).toLocaleTimeString(language(), { timeStyle: 'medium' })
}

/** How long the service runs, in its two greatest units. */
export function formatUptime(seconds: number): string {
  if (seconds < daySeconds) return formatSeconds(Math.floor(seconds))
  const part = (value: number, unit: 'day' | 'hour') =>
    value.toLocaleString(language(), { style: 'unit', unit, unitDisplay: unit === 'day' ? 'long' : 'short' })
  return `${part(Math.floor(seconds / daySeconds), 'day')} ${part(Math.floor((seconds % daySeconds) / 3600), 'hour')}`
}
