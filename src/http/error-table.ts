import { type ErrorCode, errorCodes } from '../errors.ts'
import { isForLater, statusOf } from './error-reply.ts'

/** What sending the same request again is good for. */
const retryOf: Readonly<Record<ErrorCode, string>> = {
  invalid: 'no: mend the request',
  context_length_exceeded: 'no: shorten it',
  unauthorized: 'after signing in',
  forbidden: 'no',
  not_found: 'no',
  conflict: 'once what is in the way has gone',
  too_large: 'no: send less',
  unprocessable: 'no: mend what was sent',
  rate_limited: 'yes',
  quota_exceeded: 'yes: the next day',
  aborted: 'yes',
  internal: 'perhaps: it is a fault',
  upstream: 'yes, later',
  busy: 'yes',
  unavailable: 'yes',
  storage_full: 'once there is room',
}

/** The table of docs/errors.md. */
export function errorTable(): string {
  const rows = errorCodes.map((code) => {
    const header = isForLater(code) ? 'yes' : 'no'
    return `| [\`${code}\`](#${code}) | ${statusOf[code]} | ${retryOf[code]} | ${header} |`
  })
  return ['| Code | Status | Worth another try | `Retry-After` |', '|---|---|---|---|', ...rows].join('\n')
}

const [begin, end] = ['<!-- made from the code: see test/unit/api-docs.test.ts -->', '<!-- end -->']

/** docs/errors.md with its table written anew. */
export function withErrorTable(document: string): string {
  const [before, rest] = document.split(begin)
  const after = rest?.split(end)[1]
  if (before === undefined || after === undefined) throw new Error(`docs/errors.md has no place for its table: ${begin} … ${end}`)
  return `${before}${begin}\n\n${errorTable()}\n\n${end}${after}`
}
