import { AppError } from '../errors.ts'

/**
 * Turns what SQLite or the file system reports into an error that says what to do.
 * `place` is what the message calls the database: its path at start, no path in answers to callers.
 * What is not about the state of the storage comes back as it was.
 */
export function toStorageError(error: unknown, place: string): unknown {
  if (!(error instanceof Error) || !('code' in error) || typeof error.code !== 'string') return error
  const family = familyOf(error.code)
  if (family === undefined) return error
  const { code, message, retryAfterSeconds } = explain(family, place, error.code)
  return new AppError(code, message, { cause: error, ...(retryAfterSeconds === undefined ? {} : { retryAfterSeconds }) })
}

const families = {
  locked: ['SQLITE_BUSY', 'SQLITE_LOCKED'],
  full: ['SQLITE_FULL', 'ENOSPC', 'EDQUOT'],
  forbidden: ['SQLITE_READONLY', 'SQLITE_CANTOPEN', 'SQLITE_PERM', 'EACCES', 'EPERM', 'EROFS'],
  misplaced: ['ENOTDIR', 'EISDIR', 'ENOENT', 'EEXIST'],
  damaged: ['SQLITE_CORRUPT', 'SQLITE_NOTADB'],
  device: ['SQLITE_IOERR', 'EIO'],
} as const

type Family = keyof typeof families
type Explanation = Readonly<{ code: AppError['code']; message: string; retryAfterSeconds?: number }>

function familyOf(code: string): Family | undefined {
  for (const family of ['locked', 'full', 'forbidden', 'misplaced', 'damaged', 'device'] as const) {
    // SQLite's extended codes go on after the basic one: SQLITE_IOERR_WRITE.
    if (families[family].some((known) => code === known || code.startsWith(`${known}_`))) return family
  }
  return undefined
}

function explain(family: Family, place: string, code: string): Explanation {
  switch (family) {
    case 'locked':
      return {
        code: 'busy',
        message: `Another program holds ${place} locked. Try again shortly; if this lasts, close the program that uses it.`,
        retryAfterSeconds: 1,
      }
    case 'full':
      return { code: 'storage_full', message: `The disk that holds ${place} is full. Free some space; nothing stored was lost.` }
    case 'forbidden':
      return {
        code: 'unavailable',
        message: `User id ${process.geteuid?.() ?? 'of this process'} may not write ${place} or its folder (${code}). Give it write access, or choose another folder.`,
      }
    case 'misplaced':
      return { code: 'unavailable', message: `Nothing can be kept at ${place} (${code}). Choose a file in a folder.` }
    case 'damaged':
      return { code: 'unavailable', message: damagedMessage(place) }
    case 'device':
      return {
        code: 'unavailable',
        message: `Reading or writing ${place} failed (${code}). Check the disk and the space left on it.`,
      }
  }
}

export function damagedMessage(place: string): string {
  return `What is stored in ${place} is damaged, or is no database of simpleIA. It was left as it is: restore a backup, or move the file away to begin anew.`
}
