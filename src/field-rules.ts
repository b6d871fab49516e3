import type { Text } from './config/kinds.ts'
import type { ErrorDetail } from './errors.ts'

const password: Text = {
  en: 'Choose another password: one of at least 8 characters that others do not guess.',
  es: 'Elige otra contraseña: de al menos 8 caracteres y que nadie adivine.',
}
/** What the fields that people fill in must hold, by their names on the wire. */
const rules: ReadonlyMap<string, Text> = new Map([
  [
    'username',
    {
      en: "A username has 3 to 64 letters, digits, single spaces or . _ - @ + '.",
      es: "Un nombre de usuario tiene de 3 a 64 letras, cifras, espacios simples o . _ - @ + '.",
    },
  ],
  ['password', password],
  ['new_password', password],
])

/** What was wrong with a request that was `invalid`, for people; undefined where its details name no field of these. */
export function findRule(details: readonly ErrorDetail[] = []): Text | undefined {
  return details.map(({ field }) => rules.get(field)).find((rule) => rule !== undefined)
}
