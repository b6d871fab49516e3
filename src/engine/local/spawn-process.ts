import { fork } from 'node:child_process'
import { basename } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createProcessEnd } from './process-end.ts'

/** The part of ChildProcess that those who start one need; tests pass a plain object. */
export interface ProcessChild<To, From> {
  /** Undefined where it could not be started. */
  readonly pid?: number | undefined
  send(message: To): void
  /** Ends it at once; the log gets the reason, where there is one that is worth it. */
  kill(reason?: string): void
  onMessage(listener: (message: From) => void): void
  /** Called once; `reason` says how the process ended. */
  onExit(listener: (reason: string) => void): void
}

/** A process that can be made to stand still at any moment, where the platform lets it be ended with its parent all the same. */
export interface PausableChild<To, From> extends ProcessChild<To, From> {
  /** False: it cannot be done here, and nothing happened. */
  pause(): boolean
  /** Undoes `pause`. */
  goOn(): void
}

/** Starts a process from `NAME.ts` in this folder. Its error output goes to `log`, line by line. */
export function spawnProcess<To extends object, From>(
  name: string,
  log: (text: string) => void,
  nodeFlags: readonly string[] = [],
): ProcessChild<To, From> {
  return spawnFile(new URL(`./${name}`, import.meta.url), { log, nodeFlags })
}

export type SpawnOptions = Readonly<{
  log: (text: string) => void
  nodeFlags: readonly string[]
  /** What the process sees of the environment; all of it when left out. */
  env?: Readonly<Record<string, string>>
}>

/** Starts a process from a file beside the code, named without its ending: `.ts` from source, `.js` from a build. */
export function spawnFile<To extends object, From>(file: URL, { log, nodeFlags, env }: SpawnOptions): PausableChild<To, From> {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const child = fork(`${fileURLToPath(file)}.${ending}`, {
    serialization: 'advanced',
    execArgv: [...process.execArgv, ...nodeFlags],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    ...(env === undefined ? {} : { env }),
  })
  child.stderr?.setEncoding('utf8').on('data', log)
  const end = createProcessEnd(child)
  return {
    pid: child.pid,
    send(message) {
      if (child.connected) child.send(message, () => {})
    },
    kill(reason) {
      if (reason !== undefined) log(`The process ${child.pid} (${basename(file.pathname)}) was ended: ${reason}.\n`)
      end.kill()
    },
    // Elsewhere nothing ends a process that stands still when its parent is killed (see end-with-parent.ts).
    pause: () => process.platform === 'linux' && child.kill('SIGSTOP'),
    goOn: () => void (process.platform === 'linux' && child.kill('SIGCONT')),
    onMessage: (listener) => child.on('message', listener),
    onExit: end.onEnd,
  }
}
