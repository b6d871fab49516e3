/** Why an operation failed, in the closed list that every part of the program shares; docs/errors.md explains each. */
export const errorCodes = [
  'invalid',
  'context_length_exceeded',
  'unauthorized',
  'forbidden',
  'not_found',
  'conflict',
  'too_large',
  'unprocessable',
  'rate_limited',
  'quota_exceeded',
  'aborted',
  'internal',
  'upstream',
  'busy',
  'unavailable',
  'storage_full',
] as const

export type ErrorCode = (typeof errorCodes)[number]

/** One thing that is wrong with a request: which field, what was expected, what was got. */
export type ErrorDetail = Readonly<{ field: string; expected: string; got: string }>

export type AppErrorOptions = Readonly<{
  cause?: unknown
  /** The fields at fault, for `invalid`. */
  details?: readonly ErrorDetail[]
  /** How long the caller should wait before trying again, in whole seconds. */
  retryAfterSeconds?: number
}>

/** The one error class of the program. Its message is meant for the caller: it says what was expected, got, and can be done. */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  readonly details: readonly ErrorDetail[] | undefined
  readonly retryAfterSeconds: number | undefined

  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.details = options.details
    this.retryAfterSeconds = options.retryAfterSeconds
  }
}

/** Marks the end of an exhaustive switch: a new case that nobody handled fails to compile. */
export function unreachable(value: never): never {
  throw new AppError('internal', `Unforeseen value: ${JSON.stringify(value)}`)
}
