import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { access } from 'node:fs/promises'
import { createConnection } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { freePort } from '../free-port.ts'

export type RedisServer = Readonly<{
  url: string
  port: number
  /** Ends it at once, with all that it held. */
  stop(): Promise<void>
  /** Starts it again on the same port, empty. */
  start(): Promise<void>
  /** It keeps its connections and takes new ones, but answers nobody. */
  pause(): void
  resume(): void
  /** What it answers to one command, as one line. */
  ask(...command: string[]): Promise<string>
  [Symbol.asyncDispose](): Promise<void>
}>

/** Whether there is one to start; a build machine without one is at fault. */
export async function isRedisThere(): Promise<boolean> {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/bin', '/usr/local/bin']
  const found = await Promise.all(
    folders.map((folder) =>
      access(join(folder, 'redis-server')).then(
        () => true,
        () => false,
      ),
    ),
  )
  const isThere = found.includes(true)
  if (!isThere && process.env.CI)
    throw new Error('The tests of Redis need redis-server (in Debian: apt-get install redis-server).')
  return isThere
}

/** A server of its own on a free port of 127.0.0.1 that keeps nothing on disk. `options`: as its command line takes them. */
export async function startRedis(options: readonly string[] = []): Promise<RedisServer> {
  const port = await freePort()
  let server: ChildProcess | undefined

  async function start() {
    const fixed = ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no', '--dir', tmpdir()]
    const child = spawn('redis-server', [...fixed, ...options], { stdio: 'ignore' })
    server = child
    await untilItListens(port, child)
  }

  async function stop() {
    const child = server
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = once(child, 'exit')
    child.kill('SIGKILL')
    await ended
  }

  await start()
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    stop,
    start,
    pause: () => void server?.kill('SIGSTOP'),
    resume: () => void server?.kill('SIGCONT'),
    ask: (...command) => ask(port, command),
    [Symbol.asyncDispose]: stop,
  }
}

/** As redis-cli does it: one command in plain text, and the first line of the answer. */
async function ask(port: number, command: readonly string[]): Promise<string> {
  const socket = createConnection({ host: '127.0.0.1', port })
  try {
    await once(socket, 'connect')
    const parts = command.map((part) => `$${Buffer.byteLength(part)}\r\n${part}\r\n`)
    socket.write(`*${command.length}\r\n${parts.join('')}`)
    const [answer] = await once(socket, 'data')
    return String(answer)
  } finally {
    socket.destroy()
  }
}

async function untilItListens(port: number, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < 400; attempt += 1) {
    if (child.exitCode !== null) throw new Error(`redis-server ended with ${child.exitCode}.`)
    const answer = await ask(port, ['PING']).catch(() => '')
    // With a password it asks for it.
    if (/^[+-](PONG|NOAUTH)/.test(answer)) return
    await wait(25)
  }
  throw new Error('redis-server does not answer.')
}
