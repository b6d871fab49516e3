import { spawnConfined } from '../../engine/local/spawn-confined.ts'
import type { ProcessChild } from '../../engine/local/spawn-process.ts'
import { AppError } from '../../errors.ts'
import type { FileHints } from './detect-format.ts'
import type { Extracted } from './extract.ts'
import type { FromExtractor, ToExtractor } from './extract-protocol.ts'

export type ExtractorChild = ProcessChild<ToExtractor, FromExtractor>

export type ExtractLimits = Readonly<{
  /** For one file, from the moment at which its turn comes. */
  timeMs: number
  /** How long a process without work is kept. */
  idleMs: number
  maxWaiting: number
}>

export const usualExtractLimits: ExtractLimits = { timeMs: 120_000, idleMs: 60_000, maxWaiting: 100 }

/** Reads files in a process of its own, one after the other. */
export interface Extractor {
  /**
   * The text and structure of a file. Throws `unprocessable` or `too_large` (see `extract`), also for a file of which the process died
   * or that takes too long; `busy` when too many wait, `aborted`, `unavailable` when closed.
   */
  extract(path: string, hints: FileHints, signal: AbortSignal): Promise<Extracted>
  close(): Promise<void>
}

type Job = Readonly<{
  message: ToExtractor
  signal: AbortSignal
  outcome: PromiseWithResolvers<Extracted>
  /** Ends it while it waits. */
  leave: () => void
}>
type Answer = FromExtractor | Readonly<{ type: 'ended'; reason: string }>
type Worker = Readonly<{
  child: ExtractorChild
  /** Gives the next answer, or how the process ended. */
  next: () => Promise<Answer>
  ended: Promise<string>
}>

/** A process is kept for the next file, and replaced when it died or was killed. */
export function createExtractor(spawn: () => ExtractorChild, limits: ExtractLimits = usualExtractLimits): Extractor {
  const waiting: Job[] = []
  let worker: Worker | undefined
  let working: Promise<void> | undefined
  let idle: NodeJS.Timeout | undefined
  let isClosed = false

  /** One whose caller leaves while it waits ends at once, and its place in the queue is free. */
  function enqueue(message: ToExtractor, signal: AbortSignal): Promise<Extracted> {
    const outcome = Promise.withResolvers<Extracted>()
    const leave = () => {
      waiting.splice(waiting.indexOf(job), 1)
      outcome.reject(stopped())
    }
    const job: Job = { message, signal, outcome, leave }
    waiting.push(job)
    signal.addEventListener('abort', leave, { once: true })
    return outcome.promise
  }

  function takeJob(): Job | undefined {
    const job = waiting.shift()
    job?.signal.removeEventListener('abort', job.leave)
    return job
  }

  async function work(): Promise<void> {
    clearTimeout(idle)
    for (let job = takeJob(); job !== undefined; job = takeJob()) {
      worker ??= startWorker()
      const outcome = await runJob(worker, job, limits.timeMs)
      if (outcome.keepsWorker === false) await endWorker()
      if ('error' in outcome) job.outcome.reject(outcome.error)
      else job.outcome.resolve(outcome.document)
    }
    working = undefined
    idle = setTimeout(() => void endWorker(), limits.idleMs).unref()
  }

  function startWorker(): Worker {
    const child = spawn()
    const ended = Promise.withResolvers<string>()
    let answer: (message: Answer) => void = () => {}
    let exit: string | undefined
    // Once, not for each file: the process reads many.
    child.onMessage((message) => answer(message))
    child.onExit((reason) => {
      exit = reason
      answer({ type: 'ended', reason })
      ended.resolve(reason)
      // One that ends while it has no work is replaced without a word.
      if (worker?.child === child && working === undefined) worker = undefined
    })
    function next(): Promise<Answer> {
      if (exit !== undefined) return Promise.resolve({ type: 'ended', reason: exit })
      return new Promise((resolve) => {
        answer = resolve
      })
    }
    return { child, next, ended: ended.promise }
  }

  async function endWorker(): Promise<void> {
    const ending = worker
    worker = undefined
    ending?.child.kill()
    await ending?.ended
  }

  return {
    extract(path, hints, signal) {
      if (isClosed) return Promise.reject(closing())
      if (signal.aborted) return Promise.reject(stopped())
      if (waiting.length >= limits.maxWaiting)
        return Promise.reject(new AppError('busy', `${waiting.length} documents wait to be read already. Try again shortly.`))
      const extracted = enqueue({ path, hints }, signal)
      working ??= work()
      return extracted
    },
    async close() {
      isClosed = true
      for (let job = takeJob(); job !== undefined; job = takeJob()) job.outcome.reject(closing())
      worker?.child.kill()
      await working
      clearTimeout(idle)
      await endWorker()
    },
  }
}

type Outcome = Readonly<{ keepsWorker: boolean } & ({ document: Extracted } | { error: AppError })>

function runJob({ child, next }: Worker, { message, signal }: Job, timeMs: number): Promise<Outcome> {
  return new Promise((resolve) => {
    const fail = (error: AppError) => end({ keepsWorker: false, error })
    const abort = () => fail(stopped())
    const timer = setTimeout(() => fail(tooSlow(timeMs)), timeMs)
    signal.addEventListener('abort', abort, { once: true })
    void next().then((answer) => {
      if (answer.type === 'extracted') end({ keepsWorker: true, document: answer.document })
      else if (answer.type === 'ended') fail(died(answer.reason))
      else end({ keepsWorker: true, error: new AppError(answer.code, answer.message) })
    })
    child.send(message)

    function end(outcome: Outcome): void {
      clearTimeout(timer)
      signal.removeEventListener('abort', abort)
      resolve(outcome)
    }
  })
}

const closing = () => new AppError('unavailable', 'The service is shutting down.')
const stopped = () => new AppError('aborted', 'Reading the document was stopped.')

function tooSlow(timeMs: number): AppError {
  return new AppError(
    'unprocessable',
    `The file was not read within ${Math.round(timeMs / 1000)} seconds. Split it into smaller ones.`,
  )
}

function died(reason: string): AppError {
  const message = 'The file needs too much memory, or made its reader fail. Split it into smaller ones.'
  return new AppError('unprocessable', message, { cause: reason })
}

/** Starts the process. It can read the files of `folder` and the program's own code, write nothing, and sees no environment. */
export function spawnExtractor(folder: string, log: (text: string) => void, memoryMb = 1024): ExtractorChild {
  return spawnConfined(new URL('./extract-worker', import.meta.url), { folder, needs: 'unpdf', log, memoryMb })
}
