import { AppError } from '../errors.ts'
import type { PullEvent } from './download-events.ts'
import { createEventFeed, type EventFeed } from './event-feed.ts'
import { parseHubName, quoted } from './model-name.ts'
import type { Pull } from './pull.ts'
import {
  type EndedPull,
  eventsOf,
  type PullProgress,
  type PullStanding,
  type RunningPull,
  toEnded,
  toRunning,
} from './pull-rows.ts'
import { completed, endOfFailure, type OwnJob, type SharedJobs } from './shared-jobs.ts'

type Checkpoint = Extract<PullEvent, { type: 'checkpoint-ready' }>

export type PullsOptions = Readonly<{
  pull: Pull
  /** Makes a model of a checkpoint; its last event is `model-ready`. */
  convert: (checkpoint: Checkpoint, signal: AbortSignal) => AsyncIterable<PullEvent>
  /** Tells the other processes, and knows of theirs. */
  shared: SharedJobs
}>

/**
 * The pulls of all processes of this service: they go on in their process when those who asked for them leave, and many may watch one,
 * through any process.
 */
export interface Pulls {
  /** Begins a pull for a user, or joins the one of this process of the same name. Throws `invalid` for what is no hub name, `busy` when too many run. */
  start(name: string, user?: string): RunningPull
  /**
   * What a pull tells from now on, begun with where it stands. The last event is `model-ready`; a failure of the pull is thrown.
   * `gone` ends the watching, not the pull. Throws `not_found` for one that is not known.
   */
  watch(id: string, gone: AbortSignal): AsyncGenerator<PullEvent, void, undefined>
  /** Those that run, and how the last ones ended, latest first. */
  list(): Promise<Readonly<{ running: readonly RunningPull[]; ended: readonly EndedPull[] }>>
  /** Throws `not_found`. */
  get(id: string): Promise<RunningPull | EndedPull>
  /** Stops a pull and waits for its end; what arrived is kept for the next one. Throws `not_found` for one that does not run. */
  cancel(id: string): Promise<void>
  /** Stops those of this process and waits for their end. */
  close(): Promise<void>
}

type Job = {
  readonly id: string
  readonly name: string
  readonly key: string
  readonly user: string | undefined
  readonly stop: AbortController
  readonly watchers: Set<EventFeed>
  readonly own: OwnJob
  /** The last event that is no progress, and the progress since. */
  state: PullEvent | undefined
  progress: PullProgress | undefined
}

const maxPulls = 8

type Relaying = Readonly<{ end(): Promise<void> }>

export function createPulls({ pull, convert, shared }: PullsOptions): Pulls {
  const jobs = new Map<string, Job>()
  const endings = new Map<string, Promise<void>>()
  let closed = false

  function start(name: string, user?: string): RunningPull {
    const key = keyOf(name)
    const running = [...jobs.values()].find((job) => job.key === key && !job.stop.signal.aborted)
    if (running !== undefined) return running
    if (closed) throw new AppError('unavailable', 'The service is shutting down.')
    if (jobs.size >= maxPulls) throw new AppError('busy', `${maxPulls} pulls run already. Wait for one of them, or stop one.`)
    const stop = new AbortController()
    const own = shared.begin({ kind: 'pull', name, quantization: null }, () => stop.abort())
    const { id } = own
    const job: Job = { id, name, key, user, stop, own, watchers: new Set(), state: undefined, progress: undefined }
    jobs.set(id, job)
    endings.set(id, run(job))
    return job
  }

  async function run(job: Job): Promise<void> {
    const { signal } = job.stop
    let failure: unknown
    let relaying: Relaying | undefined
    try {
      for await (const event of pull(job.name, signal, job.user)) {
        await relaying?.end()
        relaying = event.type === 'download-wait' ? relay(job) : undefined
        publish(job, event)
        if (event.type === 'checkpoint-ready') for await (const next of convert(event, signal)) publish(job, next)
      }
    } catch (error) {
      failure = error
    }
    await relaying?.end()
    await job.own.end(failure === undefined ? completed(modelOf(job)) : endOfFailure(failure))
    jobs.delete(job.id)
    endings.delete(job.id)
    for (const watcher of job.watchers) watcher.end(failure)
  }

  /** Has those who watch a pull that waits for another process see how far that is. */
  function relay(job: Job): Relaying {
    const over = new AbortController()
    async function follow(): Promise<void> {
      const rows = await shared.list(['pull'])
      const other = rows.find(({ id, name, state }) => state === 'running' && !jobs.has(id) && keyOf(name) === job.key)
      if (other === undefined) return
      for await (const row of shared.watch(other.id, over.signal)) {
        const { progress } = toRunning(row)
        if (progress !== undefined && !over.signal.aborted) publish(job, progress)
      }
    }
    // It is only told of; what is waited for is another matter.
    const following = follow().catch(() => {})
    return {
      end() {
        over.abort()
        return following
      },
    }
  }

  async function* watchHere(job: Job, gone: AbortSignal): AsyncGenerator<PullEvent, void, undefined> {
    const feed = createEventFeed()
    for (const event of [job.state, job.progress]) if (event !== undefined) feed.push(event)
    job.watchers.add(feed)
    const leave = () => feed.end(new AppError('aborted', 'The caller left.'))
    gone.addEventListener('abort', leave, { once: true })
    try {
      if (gone.aborted) leave()
      yield* feed.read()
    } finally {
      job.watchers.delete(feed)
      gone.removeEventListener('abort', leave)
    }
  }

  async function* watchElsewhere(id: string, gone: AbortSignal): AsyncGenerator<PullEvent, void, undefined> {
    let told: PullStanding = { state: undefined, progress: undefined }
    for await (const row of shared.watch(id, gone)) {
      if (row.kind !== 'pull') break
      if (row.state === 'running') {
        const standing = toRunning(row)
        yield* eventsOf(told, standing)
        told = standing
        continue
      }
      const { model, error } = toEnded(row)
      if (error !== undefined) throw error
      return yield { type: 'model-ready', file: '', name: model ?? row.name }
    }
    throw gone.aborted ? new AppError('aborted', 'The caller left.') : notKnown(id)
  }

  async function cancel(id: string): Promise<void> {
    const isPull = jobs.has(id) || (await shared.find(id))?.kind === 'pull'
    if (!isPull || !(await shared.stop(id))) throw notKnown(id)
  }

  return {
    start,
    watch(id, gone) {
      const job = jobs.get(id)
      return job === undefined ? watchElsewhere(id, gone) : watchHere(job, gone)
    },
    async list() {
      const rows = await shared.list(['pull'])
      const elsewhere = rows.filter((row) => row.state === 'running' && !jobs.has(row.id))
      const ended = rows.filter(({ state }) => state !== 'running').map(toEnded)
      return {
        running: [...jobs.values(), ...elsewhere.map(toRunning)],
        ended: ended.toSorted((one, other) => (one.endedAt < other.endedAt ? 1 : one.endedAt > other.endedAt ? -1 : 0)),
      }
    },
    async get(id) {
      const job = jobs.get(id)
      if (job !== undefined) return job
      const row = await shared.find(id)
      if (row?.kind !== 'pull') throw notKnown(id)
      return row.state === 'running' ? toRunning(row) : toEnded(row)
    },
    cancel,
    async close() {
      closed = true
      for (const { stop } of jobs.values()) stop.abort()
      await Promise.all(endings.values())
    },
  }
}

const notKnown = (id: string) => new AppError('not_found', `No pull with the id ${quoted(id)} runs. It may have ended.`)

const modelOf = ({ name, state }: Job) => (state?.type === 'model-ready' ? state.name : name)

function publish(job: Job, event: PullEvent): void {
  if (event.type === 'download-progress') {
    job.progress = event
    // The line is back.
    if (job.state?.type === 'download-retry') job.state = undefined
  } else {
    job.state = event
    if (event.type === 'download-start') job.progress = undefined
  }
  const { state, progress } = job
  job.own.tell({ state, progress })
  for (const watcher of job.watchers) watcher.push(event)
}

/** The same for all spellings of one hub name. */
function keyOf(name: string): string {
  const hub = parseHubName(name)
  if (hub === undefined) {
    throw new AppError(
      'invalid',
      `${quoted(name)} is no name of the hub. Use owner/repository, owner/repository:Q4_K_M or hf:owner/repository/file.gguf.`,
    )
  }
  return JSON.stringify([hub.repository, hub.file ?? '', hub.quantization?.toUpperCase() ?? ''])
}
