import { AppError } from '../errors.ts'
import type { GatheredSaves } from '../storage/gather-saves.ts'
import type { Evaluate, Progress, Started } from './evaluation.ts'
import type { EvaluationRow } from './evaluation-rows.ts'
import type { EvaluationReport } from './report-schema.ts'

/** What waits and what runs, one at a time, in the order in which it came. */
export interface EvaluationQueue {
  /** Throws `busy` when too many wait, `unavailable` when the service is shutting down. */
  refuseMore(): void
  add(started: Started): void
  has(id: string): boolean
  /** Tries again to write down how evaluations have ended, where that has failed. */
  saveEnds(): Promise<void>
  progressOf(id: string): Progress | undefined
  /** Tells how far one is, and ends when it has ended. A slow reader is told the newest. */
  watch(id: string, signal: AbortSignal): AsyncGenerator<Progress>
  /** Resolves when it has ended; false where it had before. */
  stop(id: string): Promise<boolean>
  /** Stops all, and resolves when all have ended. */
  close(): Promise<void>
}

export type QueueParts = Readonly<{
  evaluate: Evaluate
  /** Writes down what has become of one. */
  save: (id: string, values: Partial<EvaluationRow>) => Promise<unknown>
  /** Tells the other processes how far one is. */
  tellOthers: (id: string) => GatheredSaves<Progress>
  /** Whether the service is shutting down: what fails then is interrupted. */
  isEnding: () => boolean
  /** Told of errors that nobody has foreseen. */
  onError: (error: unknown) => void
  /** UTC ISO 8601. */
  time: () => string
}>

type Job = {
  readonly id: string
  readonly started: Started
  readonly stopping: AbortController
  readonly ended: PromiseWithResolvers<void>
  progress: Progress | undefined
  /** Resolved, and made anew, when the progress has changed. */
  changed: PromiseWithResolvers<void>
}

const mostWaiting = 16

export function createEvaluationQueue(parts: QueueParts): EvaluationQueue {
  const jobs = new Map<string, Job>()
  const waiting: Job[] = []
  /** Ends that could not be written down yet. */
  const unsaved = new Map<string, Partial<EvaluationRow>>()
  let running: Promise<void> | undefined
  let isClosing = false
  const isEnding = () => isClosing || parts.isEnding()

  async function runAll(): Promise<void> {
    for (let job = waiting.shift(); job !== undefined; job = waiting.shift()) await run(job)
    running = undefined
  }

  async function run(job: Job): Promise<void> {
    // That it runs can be seen by its progress, too.
    if (!job.stopping.signal.aborted) await parts.save(job.id, { state: 'running' }).catch(parts.onError)
    unsaved.set(job.id, { ...(await outcomeOf(job, parts, isEnding)), progress: null, endedAt: parts.time() })
    await saveEnds()
    jobs.delete(job.id)
    job.changed.resolve()
    job.ended.resolve()
  }

  /** A disk that is full may have room again. What is unsaved at the end of the service is marked by the next start. */
  async function saveEnds(): Promise<void> {
    for (const [id, values] of unsaved) {
      try {
        await parts.save(id, values)
        unsaved.delete(id)
      } catch (error) {
        parts.onError(error)
      }
    }
  }

  return {
    refuseMore() {
      if (isEnding()) throw new AppError('unavailable', 'The service is shutting down.')
      if (waiting.length < mostWaiting) return
      const message = `${mostWaiting} evaluations wait already. Try again when some have ended.`
      throw new AppError('busy', message, { retryAfterSeconds: 60 })
    },
    add(started) {
      const job = createJob(started)
      jobs.set(job.id, job)
      waiting.push(job)
      running ??= runAll()
    },
    has: (id) => jobs.has(id),
    saveEnds,
    progressOf: (id) => jobs.get(id)?.progress,
    async *watch(id, signal) {
      const gone = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }))
      for (let told: Progress | undefined; !signal.aborted; ) {
        const job = jobs.get(id)
        if (job === undefined) return
        const { changed, progress } = job
        if (progress !== undefined && progress !== told) yield progress
        told = progress
        await Promise.race([changed.promise, gone])
      }
    },
    async stop(id) {
      const job = jobs.get(id)
      if (job === undefined) return false
      job.stopping.abort()
      const place = waiting.indexOf(job)
      // One that waits need not wait for its turn to end.
      if (place !== -1) {
        waiting.splice(place, 1)
        await run(job)
      }
      await job.ended.promise
      return true
    },
    async close() {
      isClosing = true
      for (const { stopping } of jobs.values()) stopping.abort()
      await running
      await saveEnds()
    },
  }
}

function createJob(started: Started): Job {
  const [ended, changed] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  return { id: started.id, started, stopping: new AbortController(), ended, progress: undefined, changed }
}

async function outcomeOf(job: Job, parts: QueueParts, isEnding: () => boolean): Promise<Partial<EvaluationRow>> {
  const { evaluate, onError } = parts
  const { signal } = job.stopping
  const others = parts.tellOthers(job.id)
  const onProgress = (progress: Progress) => {
    job.progress = progress
    others.put(progress)
    job.changed.resolve()
    job.changed = Promise.withResolvers()
  }
  try {
    signal.throwIfAborted()
    return toOutcome(await evaluate(job.started, onProgress, signal))
  } catch (error) {
    if (isEnding()) return { state: 'interrupted' }
    if (signal.aborted) return { state: 'cancelled' }
    if (error instanceof AppError) return { state: 'failed', errorCode: error.code, errorMessage: error.message }
    onError(error)
    const errorMessage = 'Something failed inside simpleIA. The log has the details.'
    return { state: 'failed', errorCode: 'internal', errorMessage }
  } finally {
    await others.close()
  }
}

function toOutcome(report: EvaluationReport): Partial<EvaluationRow> {
  const { passed: isPassed = null } = report.verdict ?? {}
  const passed = isPassed === null ? null : isPassed ? 1 : 0
  return { state: 'completed', report: JSON.stringify(report), passed }
}
