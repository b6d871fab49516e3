/** `again`: something stood in the way that may pass. */
export type WorkOutcome = 'done' | 'again'

/** Does the work on a key. What it throws ends the work as `done` would: what went wrong is for the work itself to note. */
export type Work = (key: string, signal: AbortSignal) => Promise<WorkOutcome>

/**
 * Work in the background: one key after the other in each process, each key by one process at a time. What is to be done stands in rows
 * that the work reads; the queue only says when, and by whom.
 */
export interface JobQueue {
  /** Has the work on a key done soon, where it does not wait or is not being done already. */
  add(key: string): Promise<void>
  /** Ends the work on a key here and forgets it; another process notices by the rows. Resolves before the work has ended. */
  drop(key: string): void
  /** Resolves when nothing that this process has is under way. What is to be tried again later does not count. */
  idle(): Promise<void>
  /** Ends what is being done; where others can, they go on with it. */
  close(): Promise<void>
}

export type OpenJobQueue = (work: Work) => JobQueue

export type LocalQueueParts = Readonly<{
  /** Waits before something is tried again. */
  wait: (ms: number, signal: AbortSignal) => Promise<unknown>
}>

const firstWaitMs = 1000
const longestWaitMs = 60_000

type Job = { readonly key: string; readonly stop: AbortController; waitMs: number }

/** A queue in the memory of this process: whoever opens it adds what an earlier process left. */
export const openLocalQueue =
  ({ wait }: LocalQueueParts): OpenJobQueue =>
  (work) => {
    const jobs = new Map<string, Job>()
    const closing = new AbortController()
    const pauses = new Set<Promise<void>>()
    let last: Promise<void> = Promise.resolve()

    function enqueue(job: Job): void {
      last = last.then(() => run(job))
    }

    async function run(job: Job): Promise<void> {
      const signal = AbortSignal.any([job.stop.signal, closing.signal])
      if (signal.aborted) return
      const outcome = await work(job.key, signal).catch(() => 'done' as const)
      if (outcome === 'done' || signal.aborted) {
        if (jobs.get(job.key) === job) jobs.delete(job.key)
        return
      }
      const pause = wait(job.waitMs, signal).then(
        () => enqueue(job),
        () => {},
      )
      job.waitMs = Math.min(job.waitMs * 2, longestWaitMs)
      pauses.add(pause)
      void pause.finally(() => pauses.delete(pause))
    }

    return {
      async add(key) {
        if (jobs.has(key)) return
        const job = { key, stop: new AbortController(), waitMs: firstWaitMs }
        jobs.set(key, job)
        enqueue(job)
      },
      drop(key) {
        jobs.get(key)?.stop.abort()
        jobs.delete(key)
      },
      async idle() {
        for (let seen: Promise<void> | undefined; seen !== last; ) {
          seen = last
          await seen
        }
      },
      async close() {
        closing.abort()
        await Promise.all([last, ...pauses])
      },
    }
  }
