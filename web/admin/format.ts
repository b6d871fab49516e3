import { language } from '../shell/language.svelte.ts'

/** An amount of US dollars, with as many places as small amounts need. */
export function formatDollars(dollars: number): string {
  return dollars.toLocaleString(language(), {
    style: 'currency',
    currency: 'USD',
    currencyDisplay: 'narrowSymbol',
    maximumFractionDigits: 4,
  })
}

/** A point in time to the second. */
export function formatExactTime(iso: string): string {
  return new Date(iso).toLocaleString(language(), { dateStyle: 'medium', timeStyle: 'medium' })
}
