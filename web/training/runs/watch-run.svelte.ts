import type { TrainingEvent } from '../../../src/client/training.ts'
import type { EpochAnswer, RunAnswer, StepAnswer } from '../../../src/training/schema.ts'
import { isPassing, pauseAfter } from '../../shell/pauses.ts'
import { service } from '../../shell/service.ts'
import { pause } from '../../ui/pause.ts'
import { addSteps, upTo } from './loss-chart.ts'

/** Steps that come within this time are drawn together. */
const gatherMs = 250
const pollMs = 2000

/**
 * A run as it goes: what its stream tells, and its numbers, asked for every two seconds while it runs. A connection that is lost is opened
 * again, and the stream begins anew with all that there is.
 */
export function createRunWatch(id: string) {
  let run = $state.raw<RunAnswer | undefined>(undefined)
  let steps = $state.raw<readonly StepAnswer[]>([])
  let epochs = $state.raw<readonly EpochAnswer[]>([])
  let failure = $state.raw<unknown>(undefined)
  let isLost = $state(false)
  let gathered: StepAnswer[] = []
  let gathering: ReturnType<typeof setTimeout> | undefined
  let ending = new AbortController()

  function flush() {
    clearTimeout(gathering)
    gathering = undefined
    steps = addSteps(steps, gathered)
    gathered = []
  }

  function take(event: TrainingEvent) {
    switch (event.type) {
      case 'run':
      case 'done':
        run = event.run
        return
      case 'step':
        gathered.push(event.step)
        gathering ??= setTimeout(flush, gatherMs)
        return
      case 'epoch':
        epochs = [...upTo(epochs, event.epoch.step - 1), event.epoch]
        return
      case 'resume':
        flush()
        steps = upTo(steps, event.step)
        epochs = upTo(epochs, event.step)
    }
  }

  async function follow(signal: AbortSignal) {
    for (let tries = 0; !signal.aborted; ) {
      try {
        let isFirst = true
        for await (const event of service.watchTraining(id, signal)) {
          if (isFirst) {
            isFirst = false
            isLost = false
            tries = 0
            gathered = []
            steps = []
            epochs = []
          }
          take(event)
        }
        flush()
        return
      } catch (error) {
        if (signal.aborted) return
        if (!isPassing(error)) {
          failure = error
          return
        }
        isLost = true
        tries += 1
        await pause(pauseAfter(tries), signal)
      }
    }
  }

  /** Speed, time left and memory are not told by the stream. */
  async function poll(signal: AbortSignal) {
    while (!signal.aborted) {
      await pause(pollMs, signal)
      if (signal.aborted || document.hidden || run?.state !== 'running' || isLost) continue
      const now = await service.trainingRun(id).catch(() => undefined)
      // What the stream has told since is newer.
      if (now !== undefined && run.state === 'running' && !signal.aborted) run = now
    }
  }

  return {
    get run() {
      return run
    },
    get steps() {
      return steps
    },
    get epochs() {
      return epochs
    },
    get failure() {
      return failure
    },
    /** Whether the connection is lost. */
    get isLost() {
      return isLost
    },
    /** Begins, or begins anew: what was watched before is given up. */
    start() {
      ending.abort()
      ending = new AbortController()
      failure = undefined
      void follow(ending.signal)
      void poll(ending.signal)
    },
    stop() {
      ending.abort()
      clearTimeout(gathering)
    },
    show(next: RunAnswer) {
      run = next
    },
  }
}
