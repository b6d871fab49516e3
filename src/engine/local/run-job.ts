import { AppError, type ErrorCode } from '../../errors.ts'
import { createEventQueue } from './event-queue.ts'
import type { ProcessChild } from './spawn-process.ts'
import { type WatchParts, watchChild } from './watch-child.ts'

/** What the process of a job says when it gives up. */
export type JobFailed = Readonly<{ type: 'job-failed'; code: ErrorCode; message: string }>

/** How a job gets its process, and when it is to be given up. */
export type JobOptions<To, From> = Readonly<{ spawn: () => ProcessChild<To, From>; signal: AbortSignal; watching?: WatchParts }>

type Job<To, From, E> = Readonly<{
  start: To
  isEvent: (message: From) => message is From & E
  /** The type of the event after which the process is done. */
  last: string
  /** Sent each time that an event has been read and the next one is asked for. */
  read?: To
  /** Told of what is no event. */
  onOther?: (message: From) => void
  /** What is said of a process that has died. Absent: that it worked on the model, and the likely cause. */
  describeDeath?: (reason: string) => string
  /** Whether it is to stand still just now. */
  isPaused?: () => boolean
  /** How long it may compute without a word. */
  silenceMs?: number
}>

/**
 * Starts a process for one job and gives its events up to the last one. Ends the process when the reader stops or the signal says so;
 * nobody works any more when this has returned. Throws what the process says, `aborted`, or `unavailable` when it dies or hangs.
 */
export async function* runJob<To, From extends JobFailed | Readonly<{ type: string }>, E extends Readonly<{ type: string }>>(
  { start, isEvent, last, read, onOther, describeDeath = describeUsualDeath, isPaused, ...watched }: Job<To, From, E>,
  { spawn, signal, watching }: JobOptions<To, From>,
): AsyncGenerator<E> {
  const ended = Promise.withResolvers<void>()
  const events = createEventQueue<Readonly<{ event: E } | { error: AppError }>>(signal)
  let isAwaited = true
  const hasWork = () => isAwaited && isPaused?.() !== true
  const child = watchChild(spawn(), { ...watched, hasWork }, watching)
  child.onMessage((message) => {
    if (isFailure(message)) events.push({ error: new AppError(message.code, message.message) })
    else if (isEvent(message)) events.push({ event: message })
    else onOther?.(message)
  })
  child.onExit((reason) => {
    ended.resolve()
    events.push({ error: new AppError('unavailable', describeDeath(reason)) })
  })
  try {
    child.send(start)
    for await (const got of events) {
      if ('error' in got) throw got.error
      // While nobody reads on it may have nothing to do.
      isAwaited = false
      yield got.event
      isAwaited = true
      if (got.event.type === last) return
      if (read !== undefined) child.send(read)
    }
  } finally {
    child.kill()
    // Only then is nobody writing any more.
    await ended.promise
  }
}

function isFailure(message: JobFailed | Readonly<{ type: string }>): message is JobFailed {
  return message.type === 'job-failed'
}

function describeUsualDeath(reason: string): string {
  return `The process that worked on the model ended (${reason}). ${likelyCause(reason)}`
}

function likelyCause(reason: string): string {
  if (reason === 'SIGKILL') return 'Most likely there was not enough memory.'
  if (reason === 'SIGABRT' || reason === 'SIGSEGV' || reason === 'SIGBUS')
    return 'Most likely the file is damaged or of a kind that llama.cpp cannot read.'
  return 'The log has the details.'
}
