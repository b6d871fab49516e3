import { setImmediate as nextTurn } from 'node:timers/promises'
import type { ToTrainer } from './protocol.ts'
import type { TrainControl } from './train-loop.ts'

/** What messages say of a run. */
export interface MessageControl extends TrainControl {
  receive(message: Exclude<ToTrainer, { type: 'train-start' }>): void
}

export function createMessageControl(): MessageControl {
  let isStopped = false
  let pause: PromiseWithResolvers<void> | undefined
  function goOn(): void {
    pause?.resolve()
    pause = undefined
  }
  return {
    receive({ type }) {
      if (type === 'train-pause') pause ??= Promise.withResolvers<void>()
      else goOn()
      if (type === 'train-stop') isStopped = true
    },
    isStopped: () => isStopped,
    async whenRunning() {
      // Messages are read between turns.
      await nextTurn()
      while (pause !== undefined) await pause.promise
    },
  }
}
