import { AppError } from '../errors.ts'

const day = /^\d{4}-\d\d-\d\d$/
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/

/** A day begins at midnight UTC. Throws `invalid`. */
export function readTime(field: string, text: string): string {
  if ((day.test(text) || time.test(text)) && !Number.isNaN(Date.parse(text))) return new Date(text).toISOString()
  const expected = 'a day or a time with its zone, such as 2026-03-01 or 2026-03-01T12:00:00Z'
  const details = [{ field, expected, got: JSON.stringify(text) }]
  throw new AppError('invalid', `"${field}" must be ${expected}, but is "${text}".`, { details })
}

/** A day counts to its end. */
export function readEnd(field: string, text: string): string {
  const start = readTime(field, text)
  return day.test(text) ? new Date(Date.parse(start) + 24 * 3_600_000).toISOString() : start
}
