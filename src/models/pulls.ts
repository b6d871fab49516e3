import { AppError } from '../errors.ts'
import type { PullEvent } from './download-events.ts'
import { createEventFeed, type EventFeed } from './event-feed.ts'
import { parseHubName, quoted } from './model-name.ts'
import type { Pull } from './pull.ts'

type Progress = Extract<PullEvent, { type: 'download-progress' }>
type Checkpoint = Extract<PullEvent, { type: 'checkpoint-ready' }>

export type RunningPull = Readonly<{ id: string; name: string; progress: Progress | undefined }>

export type PullsOptions = Readonly<{
  pull: Pull
  /** Makes a model of a checkpoint; its last event is `model-ready`. */
  convert: (checkpoint: Checkpoint, signal: AbortSignal) => AsyncIterable<PullEvent>
  createId: () => string
}>

/** The pulls of this service: they go on when those who asked for them leave, and many may watch one. */
export interface Pulls {
  /** Begins a pull for a user, or joins the one of the same name. Throws `invalid` for what is no hub name, `busy` when too many run. */
  start(name: string, user?: string): RunningPull
  /**
   * What a pull tells from now on, begun with where it stands. The last event is `model-ready`; a failure of the pull is thrown.
   * `gone` ends the watching, not the pull. Throws `not_found` for one that does not run.
   */
  watch(id: string, gone: AbortSignal): AsyncGenerator<PullEvent, void, undefined>
  list(): readonly RunningPull[]
  /** Throws `not_found` for one that does not run. */
  get(id: string): RunningPull
  /** Stops a pull and waits for its end; what arrived is kept for the next one. Throws `not_found`. */
  cancel(id: string): Promise<void>
  /** Stops all of them and waits for their end. */
  close(): Promise<void>
}

type Job = {
  readonly id: string
  readonly name: string
  readonly key: string
  readonly user: string | undefined
  readonly stop: AbortController
  readonly watchers: Set<EventFeed>
  /** The last event that is no progress, and the progress since. */
  state: PullEvent | undefined
  progress: Progress | undefined
}

const maxPulls = 8

export function createPulls({ pull, convert, createId }: PullsOptions): Pulls {
  const jobs = new Map<string, Job>()
  const endings = new Map<string, Promise<void>>()
  let closed = false

  function start(name: string, user?: string): RunningPull {
    const key = keyOf(name)
    const running = [...jobs.values()].find((job) => job.key === key && !job.stop.signal.aborted)
    if (running !== undefined) return running
    if (closed) throw new AppError('unavailable', 'The service is shutting down.')
    if (jobs.size >= maxPulls) throw new AppError('busy', `${maxPulls} pulls run already. Wait for one of them, or stop one.`)
    const job: Job = {
      id: createId(),
      name,
      key,
      user,
      stop: new AbortController(),
      watchers: new Set(),
      state: undefined,
      progress: undefined,
    }
    jobs.set(job.id, job)
    endings.set(job.id, run(job))
    return job
  }

  async function run(job: Job): Promise<void> {
    const { signal } = job.stop
    try {
      for await (const event of pull(job.name, signal, job.user)) {
        publish(job, event)
        if (event.type === 'checkpoint-ready') for await (const next of convert(event, signal)) publish(job, next)
      }
      for (const watcher of job.watchers) watcher.end()
    } catch (error) {
      for (const watcher of job.watchers) watcher.end(error)
    } finally {
      jobs.delete(job.id)
      endings.delete(job.id)
    }
  }

  async function* watch(id: string, gone: AbortSignal): AsyncGenerator<PullEvent, void, undefined> {
    const job = get(id)
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

  function get(id: string): Job {
    const job = jobs.get(id)
    if (job === undefined) throw new AppError('not_found', `No pull with the id ${quoted(id)} runs. It may have ended.`)
    return job
  }

  async function cancel(id: string): Promise<void> {
    const job = get(id)
    job.stop.abort()
    await endings.get(id)
  }

  return {
    start,
    watch,
    list: () => [...jobs.values()],
    get,
    cancel,
    async close() {
      closed = true
      await Promise.all([...jobs.keys()].map(cancel))
    },
  }
}

function publish(job: Job, event: PullEvent): void {
  if (event.type === 'download-progress') job.progress = event
  else {
    job.state = event
    if (event.type === 'download-start') job.progress = undefined
  }
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
