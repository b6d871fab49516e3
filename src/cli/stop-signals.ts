import { type Context, writeLine } from './context.ts'

const exitCodeOf = { SIGINT: 130, SIGTERM: 143 } as const

/** What is used of a process. */
type Program = Readonly<{
  on(name: keyof typeof exitCodeOf, listener: () => void): unknown
  exit(code?: number): void
}>

/**
 * Turns the first SIGINT or SIGTERM into an orderly stop; a second one ends the process at once.
 * `signal` is for work that can be given up on the way to a running service.
 */
export function waitForStop({ say, terminal }: Pick<Context, 'say' | 'terminal'>, program: Program = process) {
  const controller = new AbortController()
  const requested = new Promise<void>((resolve) => {
    for (const name of ['SIGINT', 'SIGTERM'] as const) {
      program.on(name, () => {
        if (controller.signal.aborted) program.exit(exitCodeOf[name])
        if (terminal.input.isTTY) writeLine(terminal.notes, `\n${say('stopping')}`)
        controller.abort()
        resolve()
      })
    }
  })
  return {
    requested,
    signal: controller.signal,
    /** For when all is done: what hangs outside, such as a reader of the log, keeps the process only a moment longer. */
    leave(lastWordsMs = 2000): void {
      setTimeout(() => program.exit(), lastWordsMs).unref()
    },
  }
}
