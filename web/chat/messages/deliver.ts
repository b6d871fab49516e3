import type { MessageAnswer } from '../../../src/conversations/schema.ts'
import { AppError } from '../../../src/errors.ts'
import { isUnreached } from '../../shell/pauses.ts'
import { pause } from '../../ui/pause.ts'

const mostAttempts = 120
/** Longer than what the service proposes while it loads: a page that stays open must not eat up its own allowance. */
const leastWaitSeconds = 2

export type Delivery<T> = Readonly<{
  begin: () => Promise<T>
  /** Whether a model is on its way: one that failed to load does not come by itself. */
  isLoading: () => Promise<boolean>
  onWait: (forWhat: 'queue' | 'model') => void
}>

/** Asks until the service takes the question, as long as it only has too much to do or loads its model. Throws what else it says. */
export async function deliver<T>({ begin, isLoading, onWait }: Delivery<T>, signal: AbortSignal): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await begin()
    } catch (error) {
      if (!(error instanceof AppError) || attempt === mostAttempts || signal.aborted) throw error
      const isBusy = error.code === 'busy'
      if (!isBusy && (error.code !== 'unavailable' || isUnreached(error) || !(await isLoading()))) throw error
      onWait(isBusy ? 'queue' : 'model')
      await pause(1000 * Math.max(leastWaitSeconds, error.retryAfterSeconds ?? 0), signal)
      if (signal.aborted) throw new AppError('aborted', 'The question was taken back.')
    }
  }
}

/** Whether an answer was not begun because no model was there; one that still loads will be. */
export const wasHeldUp = ({ state, content, error }: Pick<MessageAnswer, 'state' | 'content' | 'error'>): boolean =>
  state === 'failed' && content === '' && error?.code === 'unavailable'

/** Waits for a model that is loading. Gives whether it came; false where there is none to wait for, and after `signal`. */
export async function untilLoaded(stateOf: () => Promise<string>, signal: AbortSignal): Promise<boolean> {
  for (let attempt = 0; attempt < mostAttempts; attempt += 1) {
    const state = await stateOf().catch(() => 'failed')
    if (signal.aborted || state !== 'loading') return !signal.aborted && attempt > 0 && state === 'ready'
    await pause(1000 * leastWaitSeconds, signal)
  }
  return false
}
