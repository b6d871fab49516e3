import type { RunAnswer } from '../../../src/training/schema.ts'
import type { texts } from './texts.ts'

type Name = keyof typeof texts
type Words = Readonly<{ name: Name; values: Readonly<Record<string, string | number>> }>

/** What a run is doing, for people. */
export function wordsOfState(run: RunAnswer): Words {
  const plain = (name: Name): Words => ({ name, values: {} })
  switch (run.state) {
    case 'queued':
      return run.queue_position === null || run.queue_position === 0
        ? plain('stateNext')
        : { name: 'stateQueued', values: { count: run.queue_position } }
    case 'running':
      if (run.stopping) return plain('stateStopping')
      if (run.yielding) return plain('stateYielding')
      return plain(run.plan === null || run.step === 0 ? 'statePreparing' : 'stateRunning')
    case 'paused':
      return plain('statePaused')
    case 'interrupted':
      return plain('stateInterrupted')
    case 'cancelled':
      return plain('stateCancelled')
    case 'failed':
      return { name: 'stateFailed', values: { step: run.step } }
    case 'completed':
      return run.served_as === null ? plain('stateCompletedPlain') : { name: 'stateCompleted', values: { model: run.served_as } }
  }
}

/** What to do about a failure. */
export function helpFor(code: string): Name {
  const help: Readonly<Record<string, Name>> = {
    too_large: 'helpTooLarge',
    storage_full: 'helpDisk',
    unprocessable: 'helpNumbers',
    unavailable: 'helpDied',
    busy: 'helpInTheWay',
    conflict: 'helpInTheWay',
    not_found: 'helpInTheWay',
  }
  return help[code] ?? 'helpOther'
}

/** What would fail again is refused by the service. */
export const canResume = ({ state, error }: RunAnswer): boolean =>
  state === 'paused' ||
  state === 'interrupted' ||
  state === 'cancelled' ||
  (state === 'failed' && !['helpOther', 'helpNumbers'].includes(helpFor(error?.code ?? '')))
