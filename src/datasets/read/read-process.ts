import { spawnConfined } from '../../engine/local/spawn-confined.ts'
import type { ProcessChild } from '../../engine/local/spawn-process.ts'
import { AppError } from '../../errors.ts'
import type { FromReader, ToReader } from './read-protocol.ts'
import type { ReadOptions } from './survey.ts'

export type ReaderChild = ProcessChild<ToReader, FromReader>
export type ReadMessage = Exclude<FromReader, { type: 'read-failed' }>

export type ReadLimits = Readonly<{
  /** Until the next message of the process. */
  timeMs: number
}>

export const usualReadLimits: ReadLimits = { timeMs: 600_000 }

/**
 * Reads a file in a process of its own, which ends with the reading, however that ends: the survey first, then the rows, then the end.
 * Throws `unprocessable` or `too_large` (see `surveyFile`), also for a file of which the process died or that takes too long; `aborted`.
 */
export async function* readInProcess(
  spawn: () => ReaderChild,
  options: ReadOptions,
  signal: AbortSignal,
  { timeMs }: ReadLimits = usualReadLimits,
): AsyncGenerator<ReadMessage> {
  if (signal.aborted) throw stopped()
  const child = spawn()
  const ended = Promise.withResolvers<void>()
  let answer = Promise.withResolvers<FromReader>()
  // Whoever rejects it first is right, and it may be that nobody waits.
  const fail = (error: AppError) => {
    answer.promise.catch(() => {})
    answer.reject(error)
  }
  const abort = () => fail(stopped())
  child.onMessage((message) => answer.resolve(message))
  child.onExit((reason) => {
    fail(died(reason))
    ended.resolve()
  })
  signal.addEventListener('abort', abort, { once: true })
  try {
    child.send({ type: 'read-start', options })
    for (;;) {
      const timer = setTimeout(() => fail(tooSlow(timeMs)), timeMs)
      const message = await answer.promise.finally(() => clearTimeout(timer))
      if (message.type === 'read-failed') throw new AppError(message.code, message.message)
      answer = Promise.withResolvers<FromReader>()
      yield message
      if (message.type === 'read-end') return
      if (signal.aborted) throw stopped()
      child.send({ type: 'rows-next' })
    }
  } finally {
    signal.removeEventListener('abort', abort)
    child.kill()
    await ended.promise
  }
}

const stopped = () => new AppError('aborted', 'Reading the dataset was stopped.')

function tooSlow(timeMs: number): AppError {
  return new AppError('unprocessable', `The file was not read within ${Math.round(timeMs / 1000)} seconds. Split it.`)
}

function died(reason: string): AppError {
  return new AppError('unprocessable', 'The file needs too much memory, or made its reader fail. Split it.', { cause: reason })
}

/** Starts the process. It can read the files of `folder` and the program's own code, write nothing, and sees no environment. */
export function spawnReader(folder: string, log: (text: string) => void, memoryMb = 1024): ReaderChild {
  return spawnConfined(new URL('./read-worker', import.meta.url), { folder, needs: 'csv-parse', log, memoryMb })
}
