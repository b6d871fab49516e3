import { AppError } from '../errors.ts'

/** Another attempt may help, after some time at least. */
export class RetryError extends Error {
  override readonly name = 'RetryError'
  /** What the server asks to wait; undefined: as long as seems right. */
  readonly waitMs: number | undefined
  constructor(message: string, options: Readonly<{ cause?: unknown; waitMs?: number | undefined }> = {}) {
    super(message, { cause: options.cause })
    this.waitMs = options.waitMs
  }
}

/** A longer pause than this is for the person to take. */
const maxPauseMs = 120_000

/**
 * Throws for an answer that is no success: a RetryError when another attempt may help, else an AppError that says what to do:
 * `forbidden` (a token or an accepted licence is needed), `not_found`, `rate_limited`, `upstream`.
 */
export async function refuseFailure(response: Response, what: string, repository: string, now: () => number): Promise<void> {
  if (response.ok) return
  await response.body?.cancel()
  const { status, headers } = response
  const hubCode = headers.get('x-error-code')
  const isMissing = hubCode === 'RepoNotFound' || hubCode === 'EntryNotFound' || hubCode === 'RevisionNotFound'
  if (status === 401 || status === 403) throw refusedBy(response, what, repository, isMissing)
  if (status === 404 || status === 410 || isMissing) throw new AppError('not_found', `${what} does not exist.`)
  if (status === 429 || status >= 500 || status === 408) {
    // A date is taken by the clock of the answer itself: this machine's may be set.
    const sentMs = Date.parse(headers.get('date') ?? '')
    const waitMs = readRetryAfter(headers.get('retry-after'), Number.isNaN(sentMs) ? now() : sentMs)
    if (waitMs === undefined || waitMs <= maxPauseMs) throw new RetryError(`${what} answered ${status}`, { waitMs })
    const retryAfterSeconds = Math.ceil(waitMs / 1000)
    throw new AppError('rate_limited', `The hub asks to wait ${retryAfterSeconds} seconds before ${what} is asked for again.`, {
      retryAfterSeconds,
    })
  }
  throw new AppError('upstream', `${what} answered ${status}.`)
}

function refusedBy({ status, headers }: Response, what: string, repository: string, isMissing: boolean): AppError {
  const page = `https://huggingface.co/${repository}`
  if (headers.get('x-error-code') === 'GatedRepo' || status === 403) {
    return new AppError(
      'forbidden',
      `${what} is given only to those who accepted its licence (${status}). Accept it at ${page} and set HF_TOKEN to a token of that account.`,
    )
  }
  const maybe = isMissing ? 'does not exist, or is private' : 'needs a login'
  return new AppError(
    'forbidden',
    `${what} ${maybe} (${status}). Check the name; for a private or gated model accept its licence at ${page} and set HF_TOKEN.`,
  )
}

/** In milliseconds from now; a number of seconds or a date. */
function readRetryAfter(value: string | null, now: number): number | undefined {
  if (value === null) return undefined
  if (/^\d+$/.test(value)) return Number(value) * 1000
  const date = Date.parse(value)
  return Number.isNaN(date) ? undefined : Math.max(0, date - now)
}

/** Repeats `attempt` while it throws a RetryError, a few times; then the error says why, as `code`. */
export async function withRetries<T>(
  attempt: () => Promise<T>,
  { wait, code }: Readonly<{ wait: (ms: number) => Promise<void>; code: 'unavailable' | 'upstream' }>,
): Promise<T> {
  for (let failures = 1; ; failures += 1) {
    try {
      return await attempt()
    } catch (error) {
      if (!(error instanceof RetryError)) throw error
      if (failures === 3) throw new AppError(code, `${error.message}.`, { cause: error })
      await wait(error.waitMs ?? 1000 * failures)
    }
  }
}

/** The message of an error with that of its cause, which for a failed `fetch` is the one that tells something. */
export function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error)
  const cause = error.cause instanceof Error ? error.cause.message : undefined
  return cause === undefined || cause === '' ? error.message : `${error.message} (${cause})`
}
