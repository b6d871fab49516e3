import { type Clock, systemClock } from '../cloud/clock.ts'
import { type ProcessActivity, readActivity } from './process-activity.ts'
import type { ProcessChild } from './spawn-process.ts'

/** How often a process that has work is looked at. */
export const lookMs = 5000
/** One that does nothing at all at so many looks in a row hangs. Looks are counted, not time: what stands still with this process counts for none. */
export const stillLooks = 6
/** Less than this share of a processor is nothing: timers of a process that waits come to less. */
const leastShare = 0.01
const ticksPerMs = 0.1

/** How long a process may compute without a word. Each tells of itself much more often, also with slow models. */
export const usualSilenceMs = 30 * 60_000

export type Watched = Readonly<{
  pid: number | undefined
  /** Whether it is to say something: it may be silent otherwise. */
  hasWork: () => boolean
  silenceMs?: number
  /** Called once, with what is wrong. */
  onHang: (reason: string) => void
}>

export type WatchParts = Readonly<{
  clock: Pick<Clock, 'after'>
  readActivity: (pid: number) => Promise<ProcessActivity | undefined>
}>

const usualParts: WatchParts = { clock: systemClock, readActivity }

/**
 * Notices that a process with work hangs: at once where the system tells that it neither computes nor waits for a disk (Linux; after about
 * half a minute), else when nothing was heard of it for `silenceMs`.
 */
export function watchForHang({ pid, hasWork, silenceMs = usualSilenceMs, onHang }: Watched, parts: WatchParts = usualParts) {
  let wasHeard = false
  let silent = 0
  let still = 0
  let last: ProcessActivity | undefined
  let isClosed = false

  async function look(): Promise<void> {
    const current = pid === undefined || !hasWork() ? undefined : await parts.readActivity(pid)
    if (isClosed) return
    if (wasHeard) {
      silent = 0
      still = 0
    } else if (hasWork()) {
      // Looks without work are left out, not forgiven: callers may have lost patience before this did.
      silent += 1
      still = current === undefined || hasMoved(last, current) ? 0 : still + 1
    }
    last = current ?? last
    wasHeard = false
    const reason = problem()
    if (reason === undefined) forget = parts.clock.after(lookMs, () => void look())
    else onHang(reason)
  }

  function problem(): string | undefined {
    if (still >= stillLooks) return `it did nothing for ${(stillLooks * lookMs) / 1000} seconds`
    if (silent * lookMs >= silenceMs) return `nothing was heard of it for ${Math.round(silenceMs / 60_000)} minutes`
    return undefined
  }

  let forget = parts.clock.after(lookMs, () => void look())
  return {
    /** It has said something. */
    heard(): void {
      wasHeard = true
    },
    close(): void {
      isClosed = true
      forget()
    },
  }
}

function hasMoved(before: ProcessActivity | undefined, now: ProcessActivity): boolean {
  if (before === undefined || now.isAtWork) return true
  return now.cpuTicks - before.cpuTicks >= lookMs * ticksPerMs * leastShare || now.diskReads > before.diskReads
}

/** The same process, which is ended as soon as it hangs; its listener is told why. */
export function watchChild<To, From, Child extends ProcessChild<To, From>>(
  child: Child & ProcessChild<To, From>,
  watched: Pick<Watched, 'hasWork' | 'silenceMs'>,
  parts?: WatchParts,
): Child {
  let hanging: string | undefined
  function onHang(reason: string): void {
    hanging = reason
    child.kill(reason)
  }
  const watch = watchForHang({ ...watched, pid: child.pid, onHang }, parts)
  return {
    ...child,
    onMessage: (listener: (message: From) => void) =>
      child.onMessage((message) => {
        watch.heard()
        listener(message)
      }),
    onExit: (listener: (reason: string) => void) =>
      child.onExit((reason) => {
        watch.close()
        listener(hanging ?? reason)
      }),
  }
}
