import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { copyFile, cp, link, mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { vi } from 'vitest'
import { createClient } from '../src/client.ts'
import { realModel, realModelFile } from './real-host.ts'

export type Ended = Readonly<{ code: number; output: string; notes: string }>

export type RealServiceOptions = Readonly<{
  /** Settings over the usual ones, by the name of their variable. */
  settings?: Readonly<Record<string, string>>
  /** Whether the usual embedding model is installed, too. */
  embeds?: boolean
}>

export type RealService = AsyncDisposable &
  Readonly<{
    service: ChildProcess
    baseUrl: string
    modelsDir: string
    /** One command; `input` is what is typed. */
    run(words: readonly string[], input?: string): Promise<Ended>
  }>

/** The service and its command line as a person starts them, on the real small model, with models, data and credentials of their own. */
export async function startRealService({ settings = {}, embeds = false }: RealServiceOptions = {}): Promise<RealService> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-real-'))
  const modelsDir = join(folder, 'models')
  await mkdir(modelsDir)
  const file = join(modelsDir, `${realModel}.gguf`)
  await link(realModelFile, file).catch(() => copyFile(realModelFile, file))
  if (embeds) await cp('model_llm/.checkpoints', join(modelsDir, '.checkpoints'), { recursive: true })
  const environment = {
    ...process.env,
    LANG: 'C',
    XDG_CONFIG_HOME: folder,
    DATA_DIR: join(folder, 'data'),
    CONFIG_FILE: join(folder, 'config.json'),
    MODELS_DIR: modelsDir,
    CONTEXT_SIZE: '1024',
    RATE_LIMIT_REQUESTS: '100000',
    ...settings,
  }
  const begin = (words: readonly string[], port: string) =>
    spawn(process.execPath, ['src/main.ts', ...words], { env: { ...environment, PORT: port } })
  const service = begin(['api'], '0')
  const exit = once(service, 'exit')
  let said = ''
  service.stdout.resume()
  service.stderr.on('data', (chunk) => {
    said += chunk
  })
  const address = () => /API: +(http:\/\/\S+)/.exec(said)?.[1]
  const baseUrl = await vi.waitUntil(address, { timeout: 30_000 })
  await vi.waitFor(() => createClient({ baseUrl }).ready(), { timeout: 60_000 })
  return {
    service,
    baseUrl,
    modelsDir,
    async run(words, input = '') {
      const child = begin(words, new URL(baseUrl).port)
      const ended = once(child, 'close')
      child.stdin.end(input)
      const [output, notes] = await Promise.all([text(child.stdout), text(child.stderr)])
      const [code] = await ended
      return { code, output, notes }
    },
    async [Symbol.asyncDispose]() {
      service.kill('SIGKILL')
      await exit
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** The processes in which models answer. */
export function engines({ pid }: ChildProcess): readonly string[] {
  const list = execFileSync('ps', ['--ppid', String(pid), '-o', 'pid=,args='], { encoding: 'utf8' })
  return list.split('\n').flatMap((line) => (line.includes('local/worker') ? [line.trim().split(' ')[0] ?? ''] : []))
}
