import type { Language, Text } from '../../src/config/kinds.ts'

export type Values = Readonly<Record<string, string | number>>
export type { Language }

const storageKey = 'language'
const isLanguage = (value: string | null): value is Language => value === 'en' || value === 'es'

function firstLanguage(): Language {
  const stored = localStorage.getItem(storageKey)
  return isLanguage(stored) ? stored : navigator.language.startsWith('es') ? 'es' : 'en'
}

let current = $state(firstLanguage())

/** What the person reads: the browser's language, until they choose. */
export const language = (): Language => current

export function chooseLanguage(chosen: Language): void {
  current = chosen
  localStorage.setItem(storageKey, chosen)
}

/** Says the texts of a table in the language of the person. `{name}` is a place for a value; numbers are written as people write them. */
export function speaker<Name extends string>(texts: Readonly<Record<Name, Text>>) {
  return (name: Name, values: Values = {}): string =>
    texts[name][current].replace(/\{(\w+)\}/g, (place, key: string) => {
      const value = values[key] ?? place
      return typeof value === 'number' ? formatNumber(value) : value
    })
}

export function formatNumber(value: number, maximumFractionDigits = 1): string {
  return value.toLocaleString(current, { maximumFractionDigits })
}

/** A size in the unit that suits it: 1.2 GB. */
export function formatBytes(bytes: number): string {
  const units = ['byte', 'kilobyte', 'megabyte', 'gigabyte', 'terabyte'] as const
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(1, bytes)) / 3))
  return (bytes / 1000 ** power).toLocaleString(current, {
    style: 'unit',
    unit: units[power] ?? 'byte',
    unitDisplay: power === 0 ? 'long' : 'short',
    maximumFractionDigits: power < 2 ? 0 : 1,
  })
}

/** An amount of US dollars, with as many places as small amounts need. */
export function formatDollars(dollars: number): string {
  return dollars.toLocaleString(current, {
    style: 'currency',
    currency: 'USD',
    currencyDisplay: 'narrowSymbol',
    maximumFractionDigits: 4,
  })
}

/** A great number in short: `1.2K`. */
export function formatCompact(value: number): string {
  return value.toLocaleString(current, { notation: 'compact', maximumFractionDigits: 1 })
}

/** A share from 0 to 1 as percent. */
export function formatPercent(share: number, maximumFractionDigits = 0): string {
  return share.toLocaleString(current, { style: 'percent', maximumFractionDigits })
}

/** A span of time: `1 h 5 min`, `12 s`. */
export function formatSeconds(seconds: number): string {
  const part = (value: number, unit: 'hour' | 'minute' | 'second') =>
    value.toLocaleString(current, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: seconds < 10 ? 1 : 0 })
  if (seconds < 60) return part(seconds, 'second')
  const minutes = Math.round(seconds / 60)
  if (minutes < 60) return part(minutes, 'minute')
  return `${part(Math.floor(minutes / 60), 'hour')} ${part(minutes % 60, 'minute')}`
}

/** @param iso a point in time, as the service writes it */
export function formatTime(iso: string): string {
  return new Date(iso).toLocaleString(current, { dateStyle: 'medium', timeStyle: 'short' })
}
