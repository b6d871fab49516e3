import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { basename, dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { PeerOptions } from './arguments.ts'

const program = fileURLToPath(new URL('../src/main.ts', import.meta.url))

/** As run_llm.sh and the image start Node.js. */
export const nodeFlags = ['--max-semi-space-size=4', '--v8-pool-size=1'] as const
export const compileCache = fileURLToPath(new URL('../.cache/compiled', import.meta.url))

/** This service, on a free port. */
export const ownServer: PeerOptions = {
  name: 'simpleia',
  url: undefined,
  dialect: 'simpleia',
  command: `'${process.execPath}' ${nodeFlags.join(' ')} '${program}' api`,
}

/** How servers of ours are started: with a data folder of their own, which goes away at the end, and limits out of the way. */
export type OwnEnvironment = Readonly<{ environment: Readonly<Record<string, string>>; close(): Promise<void> }>

export async function createOwnEnvironment(file: string | undefined): Promise<OwnEnvironment> {
  const dataDir = await mkdtemp(join(tmpdir(), 'simpleia-bench-'))
  const environment = {
    NODE_COMPILE_CACHE: compileCache,
    HOST: '127.0.0.1',
    DATA_DIR: dataDir,
    CONFIG_FILE: join(dataDir, 'config.json'),
    RATE_LIMIT_REQUESTS: '1000000',
    RATE_LIMIT_WINDOW_SECONDS: '1',
    LOG_LEVEL: 'warn',
    ALLOW_ANONYMOUS: 'true',
    ...(file === undefined ? {} : { MODELS_DIR: dirname(resolve(file)), DEFAULT_MODEL: basename(file) }),
  }
  return { environment, close: () => rm(dataDir, { recursive: true, force: true }) }
}

export async function firstModel(folder: string): Promise<string | undefined> {
  const files = await readdir(folder).catch(() => [])
  const file = files.sort().find((name) => name.endsWith('.gguf'))
  return file === undefined ? undefined : join(folder, file)
}
