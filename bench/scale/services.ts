import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { type Client, createClient } from '../../src/client.ts'
import { compileCache, nodeFlags } from '../own-server.ts'
import { cpuSeconds, processTree } from '../processes.ts'
import { type Sample, takeSample } from '../soak/memory.ts'
import { sum } from '../statistics.ts'

export type Environment = Readonly<Record<string, string>>

export type Service = AsyncDisposable &
  Readonly<{
    url: string
    dataDir: string
    environment: Environment
    /** From the start of its process until it listened, and until a model could answer. */
    listeningMs: number
    readyMs: number
    /** An admin's, opened with the service. */
    client: Client
    token: string
    memory(): Promise<Sample>
    /** Of the process and all that it has started. */
    cpuSeconds(): Promise<number>
  }>

const startLimitMs = 60_000
const pollMs = 10
const scripted = join(import.meta.dirname, 'scripted-service.ts')
const program = join(import.meta.dirname, '..', '..', 'src', 'main.ts')

/** The service with a scripted model. */
export const startScripted = (settings: Environment = {}): Promise<Service> => start([scripted], settings)

/** The service as it is; `awaitsModel` says whether there is one that will be ready. */
export const startReal = (settings: Environment, awaitsModel = true): Promise<Service> =>
  start([program, 'api'], { ...settings, BENCH_AWAITS_MODEL: String(awaitsModel) })

async function start(words: readonly string[], settings: Environment): Promise<Service> {
  await using stack = new AsyncDisposableStack()
  const dataDir = stack.adopt(await mkdtemp(join(tmpdir(), 'simpleia-scale-')), (path) =>
    rm(path, { recursive: true, force: true }),
  )
  const environment = {
    PATH: process.env.PATH ?? '',
    NODE_COMPILE_CACHE: compileCache,
    LANG: 'C',
    HOST: '127.0.0.1',
    PORT: '0',
    DATA_DIR: dataDir,
    CONFIG_FILE: join(dataDir, 'config.json'),
    RATE_LIMIT_REQUESTS: '1000000',
    RATE_LIMIT_WINDOW_SECONDS: '1',
    LOG_LEVEL: 'warn',
    ...settings,
  }
  const startedAt = performance.now()
  const child = spawn(process.execPath, [...nodeFlags, ...words], { env: environment, stdio: ['ignore', 'ignore', 'pipe'] })
  stack.defer(() => end(child))
  const url = await addressOf(child)
  const listeningMs = performance.now() - startedAt
  if (settings.BENCH_AWAITS_MODEL !== 'false') await untilReady(url, child)
  const readyMs = performance.now() - startedAt
  const { client, token } = await logIn(url)
  const pid = child.pid ?? 0
  const owned = stack.move()
  return {
    url,
    dataDir,
    environment,
    listeningMs,
    readyMs,
    client,
    token,
    memory: async () => takeSample(await processTree(pid), 0),
    cpuSeconds: async () => sum(await Promise.all((await processTree(pid)).map(cpuSeconds))),
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  }
}

async function addressOf(child: ChildProcess): Promise<string> {
  let said = ''
  const { promise, resolve, reject } = Promise.withResolvers<string>()
  child.stderr?.on('data', (bytes: Buffer) => {
    said = `${said}${bytes.toString()}`.slice(-4000)
    const [, url] = /API: +(http:\/\/[\w.:]+)/.exec(said) ?? []
    if (url !== undefined) resolve(url)
  })
  child.once('exit', (code) => reject(new Error(`The service ended with ${code}: ${said}`)))
  const timer = setTimeout(() => reject(new Error(`The service does not start: ${said}`)), startLimitMs)
  return promise.finally(() => clearTimeout(timer))
}

async function untilReady(url: string, child: ChildProcess): Promise<void> {
  const deadline = performance.now() + startLimitMs
  while (child.exitCode === null && performance.now() < deadline) {
    const isReady = await fetch(`${url}/health/ready`).then(
      async (response) => {
        await response.arrayBuffer()
        return response.ok
      },
      () => false,
    )
    if (isReady) return
    await wait(pollMs)
  }
  throw new Error('The service is not ready.')
}

async function logIn(baseUrl: string): Promise<Readonly<{ client: Client; token: string }>> {
  const credentials = ['ana', 'a password of this measurement'] as const
  const anonymous = createClient({ baseUrl })
  // Another replica of the same database may have it already.
  await anonymous.register(...credentials).catch(() => {})
  const { access_token: token } = await anonymous.login(...credentials)
  return { client: createClient({ baseUrl, token }), token }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const ended = once(child, 'exit')
  child.kill('SIGTERM')
  const hurry = setTimeout(() => child.kill('SIGKILL'), 12_000)
  await ended
  clearTimeout(hurry)
}
