import type { Language, Text } from '../config/kinds.ts'
import type { Environment } from '../config.ts'

/** The language of a person, from the variables that POSIX names, in its order. */
export function languageOf({ LC_ALL, LC_MESSAGES, LANG }: Environment): Language {
  return [LC_ALL, LC_MESSAGES, LANG].find((value) => value !== undefined && value !== '')?.startsWith('es') ? 'es' : 'en'
}

export type Values = Readonly<Record<string, string | number>>

/** Puts values into the places of a text: `{port}`. */
export function fill(text: Text, language: Language, values: Values = {}): string {
  return text[language].replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place))
}

/** Says the texts of a table in the language of the person; {program} is what calls the program. */
export function speaker<Name extends string>(texts: Readonly<Record<Name, Text>>) {
  return (language: Language) =>
    (name: Name, values: Values = {}): string =>
      fill(texts[name], language, { program: './run_llm.sh', ...values })
}
