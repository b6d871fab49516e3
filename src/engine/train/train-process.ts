import { runJob } from '../local/run-job.ts'
import { type PausableChild, spawnFile } from '../local/spawn-process.ts'
import type { WatchParts } from '../local/watch-child.ts'
import type { FromTrainer, ToTrainer, TrainEvent, TrainJob } from './protocol.ts'

export type TrainerChild = PausableChild<ToTrainer, FromTrainer>

/** Starts the process of a training. Its error output goes to `log`. */
export function spawnTrainer(log: (text: string) => void): TrainerChild {
  return spawnFile(new URL('./train-worker', import.meta.url), { log, nodeFlags: [] })
}

/** How a training gets its process, and when it is to be given up. */
export type TrainingOptions = Readonly<{ spawn: () => TrainerChild; signal: AbortSignal; watching?: WatchParts }>

/** A piece of a step may be large, and the machine slow. */
const silenceMs = 6 * 3600_000

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
  const { signal, watching } = options
  function spawn(): TrainerChild {
    child = options.spawn()
    if (isStopped) child.send({ type: 'train-stop' })
    return child
  }
  const onOther = (message: FromTrainer) => {
    if (message.type !== 'trainer-ready') return
    ready = child
    if (ready !== undefined && isPaused) applyPause(ready, true)
  }
  const start = { type: 'train-start', job } as const
  const events = runJob<ToTrainer, FromTrainer, TrainEvent>(
    { start, isEvent, last: 'train-end', onOther, describeDeath, isPaused: () => isPaused, silenceMs },
    { spawn, signal, ...(watching === undefined ? {} : { watching }) },
  )
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

const isEvent = (message: FromTrainer): message is TrainEvent =>
  !['job-failed', 'trainer-ready', 'train-alive'].includes(message.type)

function describeDeath(reason: string): string {
  const cause = reason === 'SIGKILL' ? 'Most likely there was not enough memory.' : 'The log has the details.'
  return `The process that trained ended (${reason}). ${cause} Resume the training to go on from its last checkpoint.`
}
