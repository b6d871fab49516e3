import { readFileSync } from 'node:fs'
import { AppError } from '../errors.ts'
import { usernameKey } from './username.ts'

/** What people who guess would try first here, whatever lists of theirs say. */
const ownWords: readonly string[] = ['simpleia', 'administrador', 'administrator', 'contraseña', 'contrasena']
const expected = 'one that others do not guess: not among the most common passwords, and not your username'

let common: ReadonlySet<string> | undefined

/**
 * Throws `invalid` for a password that is tried first by those who guess: one of the common ones of at least 8 characters, the name of its
 * user, or a word of this service, the last two also with digits or signs around them.
 */
export function refuseCommonPassword(field: string, password: string, username: string): void {
  // As it is hashed: what is typed on another keyboard is the same password.
  const typed = password.normalize('NFKC').toLowerCase()
  const bare = usernameKey(typed.replace(/^[^\p{L}]+|[^\p{L}]+$/gu, ''))
  const own = [usernameKey(username), ...ownWords]
  if (!own.includes(bare) && !own.includes(usernameKey(typed)) && !commonPasswords().has(typed)) return
  throw new AppError('invalid', `This password is easily guessed: it must be ${expected}.`, {
    details: [{ field, expected, got: 'a password that is tried first' }],
  })
}

/** Read when it is first asked for: the start does not wait for it. Where the list comes from stands above it, before an empty line. */
export function commonPasswords(): ReadonlySet<string> {
  if (common === undefined) {
    const file = readFileSync(new URL('./common-passwords.txt', import.meta.url), 'utf8')
    common = new Set(file.slice(file.indexOf('\n\n') + 2, -1).split('\n'))
  }
  return common
}
