import { type ChildProcess, spawn } from 'node:child_process'
import { setTimeout } from 'node:timers/promises'
import { AppError } from '../src/errors.ts'
import { freePort } from '../test/free-port.ts'
import type { PeerOptions } from './arguments.ts'
import { type Dialect, type DialectName, dialects, type Sampling, type Usage } from './dialects.ts'
import { post, type Reply, splitStream, textOf } from './exchange.ts'
import { firstAt, parseObject, textAt } from './json.ts'
import { messageOf, type Say } from './messages.ts'
import { findListener, processTree } from './processes.ts'
import type { Answer, Ask, Target } from './target.ts'

/** How long a server may take until it answers its first request. */
const startLimitMs = 120_000
const retryMs = 10

/** A server under measurement. */
export interface Server {
  readonly url: URL
  readonly dialect: DialectName
  /** What it says of its version; undefined when it says nothing. */
  readonly version: string | undefined
  /** The process that listens, and all that descend from it; empty when it is not on this machine, or not on Linux. */
  processes(): Promise<readonly number[]>
  /** Ends it and starts it again; ms from there to the first text of an answer. Undefined when the harness did not start it. */
  restart: (() => Promise<number>) | undefined
  close(): Promise<void>
}

export type ServerParts = Readonly<{
  sampling: Sampling
  model: string | undefined
  /** Environment of the servers that the harness starts. */
  environment: Readonly<Record<string, string>>
  say: Say
}>

/** Like that of most chat programs. */
export const usualSampling: Sampling = { temperature: 0.8, topK: 40, topP: 0.95, minP: 0.05, repeatPenalty: 1 }

const firstAsk: Ask = { prompt: 'The capital of Spain is', maxTokens: 2, greedy: true }

/** Starts the server if it has a command, waits until it answers, and finds out how to talk to it. */
export async function openServer(peer: PeerOptions, parts: ServerParts): Promise<Target & { server: Server }> {
  const { say } = parts
  const url = new URL(peer.url ?? `http://127.0.0.1:${await freePort()}`)
  const program = peer.command === undefined ? undefined : createProgram(peer.name, peer.command, url, parts)
  if (program !== undefined && (await isUp(url)))
    throw new AppError('conflict', say('portTaken', { url: url.href, name: peer.name }))
  program?.start()
  try {
    const dialect = await untilUp(url, () => findDialect(peer, url), program)
    const model = parts.model ?? (await findModel(url, dialect))
    const generate = (asks: readonly Ask[]) => ask({ name: peer.name, url, dialect, model, parts }, asks)
    await untilUp(url, () => generate([firstAsk]), program)
    const restart = async () => {
      await program?.stop()
      const startedAt = performance.now()
      program?.start()
      const [answer] = await untilUp(url, async () => [await firstText(generate, startedAt)], program)
      return answer ?? Number.NaN
    }
    const server: Server = {
      url,
      dialect,
      version: await findVersion(url, dialect),
      async processes() {
        const pid = await findListener(Number(url.port || 80))
        return pid === undefined ? [] : processTree(pid)
      },
      restart: program === undefined ? undefined : restart,
      close: async () => program?.stop(),
    }
    return { name: peer.name, generate, server }
  } catch (error) {
    await program?.stop()
    throw error
  }
}

/** Ms from `startedAt` to the first text. */
async function firstText(generate: Target['generate'], startedAt: number): Promise<number> {
  const askedAt = performance.now()
  const [answer] = await generate([firstAsk])
  return askedAt - startedAt + (answer?.firstMs ?? Number.NaN)
}

type Asked = Readonly<{ name: string; url: URL; dialect: DialectName; model: string | undefined; parts: ServerParts }>

async function ask({ name, url, dialect, model, parts }: Asked, asks: readonly Ask[]): Promise<readonly Answer[]> {
  const { path, body } = dialects[dialect]
  const bodies = asks.map((one) => {
    const temperature = one.greedy === true ? 0 : parts.sampling.temperature
    return JSON.stringify(body(one, { ...parts.sampling, temperature }, model))
  })
  const originMs = performance.now()
  const replies = await Promise.all(bodies.map((text) => post(new URL(path, url), text, originMs)))
  const refuse = (reason: string) => new AppError('upstream', parts.say('refused', { name, reason: reason.slice(0, 400) }))
  return replies.map((reply) => readReply(dialects[dialect], reply, refuse))
}

/** What one stream told. Throws what `refuse` makes of the reason where it is no answer. */
export function readReply(dialect: Dialect, reply: Reply, refuse: (reason: string) => AppError): Answer {
  if (reply.status !== 200) throw refuse(textOf(reply))
  let firstMs: number | undefined
  let lastMs = reply.endMs
  let pieces = 0
  let usage: Usage | undefined
  for (const { atMs, text } of splitStream(reply.arrivals, dialect.separator)) {
    const piece = dialect.read(text)
    if (piece.failure !== undefined) throw refuse(piece.failure)
    if (piece.hasText) {
      pieces += 1
      firstMs ??= atMs
      lastMs = atMs
    }
    usage = piece.usage ?? usage
  }
  if (dialect.mayBreakOff === true && pieces > 0) usage ??= { promptTokens: Number.NaN, completionTokens: pieces }
  if (usage === undefined) throw refuse('the stream ended without its token counts')
  return { ...usage, firstMs: firstMs ?? reply.endMs, lastMs, endMs: reply.endMs }
}

type Program = Readonly<{ start(): void; stop(): Promise<void>; failure(): string | undefined }>

/** A command of the shell whose server gets its port as PORT. */
function createProgram(name: string, command: string, url: URL, { environment, say }: ServerParts): Program {
  let child: ChildProcess | undefined
  let output = ''
  return {
    start() {
      output = ''
      // `exec`: the shell makes place for the server, which then gets the signal that ends it.
      child = spawn('sh', ['-c', `exec ${command}`], {
        env: { ...process.env, ...environment, PORT: url.port },
        stdio: ['ignore', 'pipe', 'pipe'],
      })
      const keep = (bytes: Buffer) => {
        output = `${output}${bytes.toString()}`.slice(-2000)
      }
      child.stdout?.on('data', keep)
      child.stderr?.on('data', keep)
    },
    async stop() {
      const running = child
      child = undefined
      if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
      const gone = new Promise((resolve) => running.once('exit', resolve))
      running.kill('SIGTERM')
      const hurry = globalThis.setTimeout(() => running.kill('SIGKILL'), 10_000)
      await gone
      clearTimeout(hurry)
    },
    failure() {
      const ended = child !== undefined && (child.exitCode !== null || child.signalCode !== null)
      return ended ? say('startFailed', { name, reason: output.trim() || `exit code ${child?.exitCode}` }) : undefined
    },
  }
}

/** Tries until it works: a server of our own is given time, one that should be running is not. */
async function untilUp<T>(url: URL, attempt: () => Promise<T>, program: Program | undefined): Promise<T> {
  const deadline = performance.now() + startLimitMs
  for (;;) {
    try {
      return await attempt()
    } catch (error) {
      const failure = program?.failure()
      if (failure !== undefined) throw new AppError('unavailable', failure)
      if (program === undefined || performance.now() > deadline) {
        if (error instanceof AppError) throw error
        throw new AppError('unavailable', `${url.href}: ${messageOf(error)}`, { cause: error })
      }
      await setTimeout(retryMs)
    }
  }
}

async function isUp(url: URL): Promise<boolean> {
  return fetch(url).then(
    () => true,
    () => false,
  )
}

/** By the endpoints that only one kind of server has. */
async function findDialect({ dialect }: PeerOptions, url: URL): Promise<DialectName> {
  const has = async (path: string, name: string) => name in (await getJson(url, path))
  // The first request says whether anything answers at all.
  await fetch(new URL('/health', url))
  if (dialect !== undefined) return dialect
  if (await has('/openapi.json', 'openapi')) return 'simpleia'
  if (await has('/props', 'default_generation_settings')) return 'llama'
  if (await has('/api/version', 'version')) return 'ollama'
  return 'openai'
}

async function findModel(url: URL, dialect: DialectName): Promise<string | undefined> {
  if (dialect === 'ollama') return textAt(firstAt(await getJson(url, '/api/tags'), 'models'), 'name')
  if (dialect === 'openai') return textAt(firstAt(await getJson(url, '/v1/models'), 'data'), 'id')
  return undefined
}

async function findVersion(url: URL, dialect: DialectName): Promise<string | undefined> {
  if (dialect === 'ollama') return textAt(await getJson(url, '/api/version'), 'version')
  if (dialect === 'llama') return textAt(await getJson(url, '/props'), 'build_info')
  return undefined
}

async function getJson(url: URL, path: string) {
  try {
    const response = await fetch(new URL(path, url))
    return response.ok ? parseObject(await response.text()) : {}
  } catch {
    return {}
  }
}
