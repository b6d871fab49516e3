import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { freePort } from '../free-port.ts'

export type Replica = Readonly<{
  port: number
  /** Resolves when it takes requests. */
  start(): Promise<void>
  /** SIGTERM, or what is named; gives the code with which it ended. */
  stop(signal?: NodeJS.Signals): Promise<number | null>
  [Symbol.asyncDispose](): Promise<void>
}>

/** A replica of the service in a process of its own, with its own folder, on a port that it keeps. */
export async function createReplica(environment: Readonly<Record<string, string>>): Promise<Replica> {
  const dataDir = await mkdtemp(join(tmpdir(), 'simpleia-replica-'))
  const port = await freePort()
  let child: ChildProcess | undefined
  async function stop(signal: NodeJS.Signals = 'SIGTERM'): Promise<number | null> {
    const ending = child
    child = undefined
    if (ending === undefined || ending.exitCode !== null) return ending?.exitCode ?? null
    const ended = once(ending, 'exit')
    ending.kill(signal)
    const [code] = await ended
    return code
  }
  return {
    port,
    async start() {
      const own = {
        PATH: process.env.PATH ?? '',
        PORT: String(port),
        DATA_DIR: dataDir,
        CONFIG_FILE: join(dataDir, 'config.json'),
      }
      const script = join(import.meta.dirname, 'replica-process.ts')
      const started = spawn(process.execPath, ['--unhandled-rejections=strict', script], {
        env: { ...own, ...environment },
        stdio: ['ignore', 'pipe', 'inherit'],
      })
      child = started
      if (started.stdout === null) throw new Error('The replica has no output.')
      const ended = once(started, 'exit').then(([code]) => {
        throw new Error(`The replica ended with ${code}.`)
      })
      ended.catch(() => {})
      await Promise.race([once(createInterface({ input: started.stdout }), 'line'), ended])
    },
    stop,
    async [Symbol.asyncDispose]() {
      await stop('SIGKILL')
      await rm(dataDir, { recursive: true, force: true })
    },
  }
}

/** The site of deploy/nginx, with these replicas instead of its own, on this port. */
export async function siteFor(replicas: readonly Replica[], port: number): Promise<string> {
  const site = await readFile('deploy/nginx/simpleia.conf', 'utf8')
  const servers = replicas.map((replica) => `server 127.0.0.1:${replica.port} max_fails=0;`).join('\n')
  return site
    .replace(/server 127\.0\.0\.1:8000 max_fails=0;\s+server 127\.0\.0\.1:8010 max_fails=0;/g, servers)
    .replace('listen 80;', `listen 127.0.0.1:${port};`)
}
