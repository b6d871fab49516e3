import { AppError } from '../../errors.ts'
import type { Clock } from './clock.ts'
import type { CloudTimeouts } from './cloud-options.ts'

/** Guards one try: stops it when it takes too long, when its answer is none, and when the caller leaves. */
export interface Watch {
  /** Aborts when the try must end. */
  readonly signal: AbortSignal
  /** Why it was stopped, unless the caller left. */
  readonly failure: AppError | undefined
  /** Something has arrived. */
  beat(): void
  /** The answer has begun. */
  begun(): void
  fail(error: AppError): void
  /** Ends it, whatever is still under way. */
  end(): void
}

type WatchOptions = Readonly<{ provider: string; timeouts: CloudTimeouts; totalLeftMs: number; clock: Clock }>

export function createWatch({ provider, timeouts, totalLeftMs, clock }: WatchOptions, caller: AbortSignal): Watch {
  const own = new AbortController()
  let failure: AppError | undefined
  let hasBegun = false

  function fail(error: AppError): void {
    failure ??= error
    own.abort()
  }
  const late = (what: string) => () => fail(new AppError('upstream', `The provider "${provider}" ${what}. Try again.`))
  const cancelTotal = clock.after(totalLeftMs, late('took too long for its answer'))
  const cancelFirst = clock.after(timeouts.firstTokenMs, late('did not begin to answer in time'))
  let cancelIdle = () => {}
  function beat(): void {
    cancelIdle()
    if (hasBegun) cancelIdle = clock.after(timeouts.idleMs, late('stopped in the middle of its answer'))
  }

  return {
    signal: AbortSignal.any([own.signal, caller]),
    get failure() {
      return failure
    },
    beat,
    begun() {
      hasBegun = true
      cancelFirst()
      beat()
    },
    fail,
    end() {
      cancelTotal()
      cancelFirst()
      cancelIdle()
      own.abort()
    },
  }
}
