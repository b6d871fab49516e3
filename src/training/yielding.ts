import type { Activity } from '../engine/activity.ts'
import type { Clock } from '../engine/cloud/clock.ts'

export type YieldingParts = Readonly<{
  activity: Activity
  /** The one that the activity was made with. */
  clock: Clock
  /** How long nothing must have worked before training goes on; requests often come one after the other. */
  calmMs: number
}>

/** What stands still while others work. Both take no time. */
export interface Pausable {
  pause(): void
  resume(): void
}

export type Yielding = Readonly<{
  isYielding(): boolean
  /** How long it has stood still, until now. */
  yieldedMs(): number
  /** Lets it go on for good. */
  end(): void
}>

/** Has a process stand still while the models of this machine work; `onChange` is told when it stops and when it goes on. */
export function yieldToWork(
  { activity, clock, calmMs }: YieldingParts,
  process: Pausable,
  onChange: (isYielding: boolean) => void = () => {},
): Yielding {
  let since: number | undefined
  let before = 0
  let forget = () => {}

  function stand(): void {
    forget()
    if (since !== undefined) return
    since = clock.now()
    process.pause()
    onChange(true)
  }
  function goOn(): void {
    forget()
    if (since === undefined) return
    before += clock.now() - since
    since = undefined
    process.resume()
    onChange(false)
  }
  function goOnWhenCalm(): void {
    forget()
    forget = clock.after(Math.max(0, activity.lastEnd() + calmMs - clock.now()), goOn)
  }

  const unsubscribe = activity.subscribe((isBusy) => (isBusy ? stand() : goOnWhenCalm()))
  if (activity.isBusy()) stand()
  else if (activity.lastEnd() + calmMs > clock.now()) {
    stand()
    goOnWhenCalm()
  }
  return {
    isYielding: () => since !== undefined,
    yieldedMs: () => before + (since === undefined ? 0 : clock.now() - since),
    end() {
      unsubscribe()
      goOn()
    },
  }
}
