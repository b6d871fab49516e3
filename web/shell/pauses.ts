import { AppError, type ErrorCode } from '../../src/errors.ts'

const firstMs = 500
const longestMs = 8000

/** How long to wait before the next attempt, after so many that failed: longer and longer. */
export const pauseAfter = (failed: number): number => Math.min(longestMs, firstMs * 2 ** (failed - 1))

const passing: ReadonlySet<ErrorCode> = new Set(['unavailable', 'busy', 'rate_limited', 'upstream'])

/** Whether following an answer may work a little later: the connection went away, or the service starts again. */
export const isPassing = (error: unknown): boolean => error instanceof AppError && passing.has(error.code)

/** Whether no service answered at all. */
export const isUnreached = (error: unknown): boolean =>
  error instanceof AppError && error.code === 'unavailable' && error.cause instanceof TypeError
