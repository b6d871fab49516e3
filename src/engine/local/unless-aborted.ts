import { AppError } from '../../errors.ts'

/** The outcome of the work, or `aborted` as soon as the signal says so; the work itself goes on and its outcome is dropped. */
export async function unlessAborted<T>(work: Promise<T>, signal: AbortSignal): Promise<T> {
  const gone = Promise.withResolvers<never>()
  const leave = () => gone.reject(new AppError('aborted', 'The request was given up.'))
  if (signal.aborted) leave()
  else signal.addEventListener('abort', leave, { once: true })
  try {
    return await Promise.race([work, gone.promise])
  } finally {
    signal.removeEventListener('abort', leave)
  }
}
