import { AppError } from '../../errors.ts'
import { createEventQueue } from '../local/event-queue.ts'
import { type PausableChild, spawnFile } from '../local/spawn-process.ts'
import type { FromTrainer, ToTrainer, TrainEvent, TrainJob } from './protocol.ts'

export type TrainerChild = PausableChild<ToTrainer, FromTrainer>

/** Starts the process of a training. Its error output goes to `log`. */
export function spawnTrainer(log: (text: string) => void): TrainerChild {
  return spawnFile(new URL('./train-worker', import.meta.url), { log, nodeFlags: [] })
}

/** How a training gets its process, and when it is to be given up. */
export type TrainingOptions = Readonly<{ spawn: () => TrainerChild; signal: AbortSignal }>

/** The events of a training, and how it is told from outside what to do. */
export interface TrainingRun {
  readonly events: AsyncGenerator<TrainEvent>
  /** Gives the cores to others: at once where the platform can (Linux), else after the step under way. */
  pause(): void
  resume(): void
  /** Has it write a checkpoint after the step under way, and end with `train-end`; ends a pause. */
  stop(): void
}

/**
 * Trains in a process of its own, or goes on with the run in the job's folder; the last event is `train-end`. Begins with the first event
 * that is asked for. Ends the process when the reader stops or the signal says so: its checkpoints stay. Throws what `train` throws,
 * `aborted`, or `unavailable` when the process dies.
 */
export function runTraining(job: TrainJob, options: TrainingOptions): TrainingRun {
  /** Undefined until it is ready: what stands still before would be left for ever where the service is killed. */
  let ready: TrainerChild | undefined
  let child: TrainerChild | undefined
  let isPaused = false
  let isStopped = false

  function setPaused(wanted: boolean): void {
    if (isPaused === wanted) return
    isPaused = wanted
    if (ready !== undefined) applyPause(ready, isPaused)
  }
  const events = readEvents(job, options, {
    onStart(started) {
      child = started
      if (isStopped) started.send({ type: 'train-stop' })
    },
    onReady() {
      ready = child
      if (ready !== undefined && isPaused) applyPause(ready, true)
    },
  })
  return {
    events,
    pause: () => setPaused(true),
    resume: () => setPaused(false),
    stop() {
      setPaused(false)
      isStopped = true
      child?.send({ type: 'train-stop' })
    },
  }
}

function applyPause(child: TrainerChild, isPaused: boolean): void {
  if (!isPaused) {
    child.goOn()
    child.send({ type: 'train-go-on' })
  } else if (!child.pause()) child.send({ type: 'train-pause' })
}

type Listeners = Readonly<{ onStart(child: TrainerChild): void; onReady(): void }>

async function* readEvents(
  job: TrainJob,
  { spawn, signal }: TrainingOptions,
  { onStart, onReady }: Listeners,
): AsyncGenerator<TrainEvent> {
  const ended = Promise.withResolvers<void>()
  const events = createEventQueue<Readonly<{ event: TrainEvent } | { error: AppError }>>(signal)
  const child = spawn()
  child.onMessage((message) => {
    if (message.type === 'job-failed') events.push({ error: new AppError(message.code, message.message) })
    else if (message.type === 'trainer-ready') onReady()
    else events.push({ event: message })
  })
  child.onExit((reason) => {
    ended.resolve()
    const cause = reason === 'SIGKILL' ? 'Most likely there was not enough memory.' : 'The log has the details.'
    const text = `The process that trained ended (${reason}). ${cause} Resume the training to go on from its last checkpoint.`
    events.push({ error: new AppError('unavailable', text) })
  })
  try {
    onStart(child)
    child.send({ type: 'train-start', job })
    for await (const got of events) {
      if ('error' in got) throw got.error
      yield got.event
      if (got.event.type === 'train-end') return
    }
  } finally {
    child.kill()
    // Only then is nobody writing any more.
    await ended.promise
  }
}
