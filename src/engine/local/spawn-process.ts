import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'

/** The part of ChildProcess that those who start one need; tests pass a plain object. */
export interface ProcessChild<To, From> {
  send(message: To): void
  kill(): void
  onMessage(listener: (message: From) => void): void
  /** Called once; `reason` says how the process ended. */
  onExit(listener: (reason: string) => void): void
}

/** Starts a process from `NAME.ts` in this folder. Its error output goes to `log`, line by line. */
export function spawnProcess<To extends object, From>(
  name: string,
  log: (text: string) => void,
  nodeFlags: readonly string[] = [],
): ProcessChild<To, From> {
  const ending = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
  const child = fork(fileURLToPath(new URL(`./${name}.${ending}`, import.meta.url)), {
    serialization: 'advanced',
    execArgv: [...process.execArgv, ...nodeFlags],
    stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
  })
  child.stderr?.setEncoding('utf8').on('data', log)
  return {
    send(message) {
      if (child.connected) child.send(message, () => {})
    },
    // SIGKILL, not SIGTERM: the libraries do not look at signals while they compute.
    kill: () => child.kill('SIGKILL'),
    onMessage: (listener) => child.on('message', listener),
    onExit(listener) {
      child.on('error', (error) => listener(error.message))
      child.on('exit', (code, signal) => listener(signal === null ? `exit code ${code}` : signal))
    },
  }
}
