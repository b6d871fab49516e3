import { AppError } from '../src/errors.ts'

/** What went wrong, as the program tells it; anything else is a fault of the test. */
export async function failureOf(work: Promise<unknown>): Promise<AppError> {
  const error = await work.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (error instanceof AppError) return error
  throw new Error('An AppError was expected.', { cause: error })
}
