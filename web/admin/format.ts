import { language } from '../shell/language.svelte.ts'

/** A point in time to the second. */
export function formatExactTime(iso: string): string {
  return new Date(iso).toLocaleString(language(), { dateStyle: 'medium', timeStyle: 'medium' })
}
