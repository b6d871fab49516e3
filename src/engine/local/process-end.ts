import { type Clock, systemClock } from '../cloud/clock.ts'

/** What waits for a disk or a device that does not answer cannot be ended by any signal until it does. */
const endLimitMs = 10_000

/** The part of ChildProcess that ending one needs. */
export interface Endable {
  readonly connected: boolean
  kill(signal: 'SIGKILL'): boolean
  unref(): void
  disconnect(): void
  readonly stderr?: Readonly<{ destroy(): void }> | null
  on(event: 'error', listener: (error: Error) => void): unknown
  on(event: 'exit' | 'close', listener: (code: number | null, signal: string | null) => void): unknown
}

export interface ProcessEnd {
  /** Ends it for sure. One that does not end within ten seconds is given up: its listener is told, and it keeps nobody waiting. */
  kill(): void
  /** Called once; `reason` says how it ended. */
  onEnd(listener: (reason: string) => void): void
}

/** `lastEvent`: by which it is known that it has ended. */
export function createProcessEnd(
  child: Endable,
  { clock = systemClock, lastEvent = 'exit' }: Readonly<{ clock?: Pick<Clock, 'after'>; lastEvent?: 'exit' | 'close' }> = {},
): ProcessEnd {
  const ended = Promise.withResolvers<string>()
  let forget = () => {}
  let hasEnded = false
  let isKilled = false
  function end(reason: string): void {
    hasEnded = true
    forget()
    ended.resolve(reason)
  }
  child.on('error', (error) => end(error.message))
  child.on(lastEvent, (code, signal) => end(signal === null ? `exit code ${code}` : signal))
  return {
    // SIGKILL, not SIGTERM: the libraries do not look at signals while they compute.
    kill() {
      child.kill('SIGKILL')
      if (isKilled || hasEnded) return
      isKilled = true
      forget = clock.after(endLimitMs, () => {
        letGo(child)
        end('it could not be ended')
      })
    },
    onEnd: (listener) => void ended.promise.then(listener),
  }
}

/** Keeps this process alive no longer. */
function letGo(child: Endable): void {
  child.unref()
  if (child.connected) child.disconnect()
  child.stderr?.destroy()
}
