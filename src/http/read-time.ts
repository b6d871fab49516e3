import { AppError } from '../errors.ts'

const day = /^\d{4}-\d\d-\d\d$/
const time = /^\d{4}-\d\d-\d\dT\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:\d\d)$/

/** A day or a time of a request as a UTC ISO 8601 text. Throws `invalid`; `field` is where the request holds it. */
export function readTime(field: string, text: string): string {
  if ((day.test(text) || time.test(text)) && !Number.isNaN(Date.parse(text))) return new Date(text).toISOString()
  const expected = 'a day or a time with its zone, such as 2026-03-01 or 2026-03-01T12:00:00Z'
  const details = [{ field, expected, got: JSON.stringify(text) }]
  throw new AppError('invalid', `"${field}" must be ${expected}, but is "${text}".`, { details })
}

/** A day reaches to its end, in UTC. */
export function endOf(start: string, text: string): string {
  return day.test(text) ? new Date(Date.parse(start) + 24 * 3600_000).toISOString() : start
}

/** The `from` and `to` of a query. Throws `invalid`. */
export function readPeriod({ from, to }: Readonly<{ from?: string; to?: string }>): Readonly<{ from?: string; to?: string }> {
  return {
    ...(from === undefined ? {} : { from: readTime('from', from) }),
    ...(to === undefined ? {} : { to: endOf(readTime('to', to), to) }),
  }
}
