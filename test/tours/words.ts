import type { Text } from '../../src/config/kinds.ts'
import type { Language } from './tour.ts'

/** What a page says in a language, as its `speaker` does; numbers are given as they are shown. */
export function wordsOf<Name extends string>(texts: Readonly<Record<Name, Text>>, language: Language) {
  return (name: Name, values: Readonly<Record<string, string>> = {}): string =>
    texts[name][language].replace(/\{(\w+)\}/g, (place, key: string) => values[key] ?? place)
}
