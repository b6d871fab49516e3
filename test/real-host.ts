import { execFileSync } from 'node:child_process'
import { copyFile, link, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { loadConfig } from '../src/config.ts'
import type { ModelHost } from '../src/engine/provider.ts'
import { openHost } from '../src/service.ts'

/** The small model that the tests use, and what set-up calls it. */
export const realModel = 'gemma-3-270m-q4_k_m'
export const realModelFile = `model_llm/${realModel}.gguf`

export type RealHost = Readonly<{ host: ModelHost; modelsDir: string; remove(): Promise<void> }>

/** The engine as the product runs it, on the real small model, in a models folder of its own. */
export async function openRealHost(settings: Readonly<Record<string, string>> = {}): Promise<RealHost> {
  const modelsDir = await mkdtemp(join(tmpdir(), 'simpleia-models-'))
  const file = join(modelsDir, `${realModel}.gguf`)
  await link(realModelFile, file).catch(() => copyFile(realModelFile, file))
  const host = await openHost(
    loadConfig({ environment: { MODELS_DIR: modelsDir, DATA_DIR: join(modelsDir, '.data'), ...settings } }),
    undefined,
  )
  while (host.status().state === 'loading') await new Promise((resolve) => setTimeout(resolve, 20))
  if (host.status().state !== 'ready') throw new Error(host.status().reason)
  return { host, modelsDir, remove: () => rm(modelsDir, { recursive: true }) }
}

/** The processes of engines that this process has started. */
export function engineProcesses(): number[] {
  const list = execFileSync('ps', ['--ppid', String(process.pid), '-o', 'pid=,args='], { encoding: 'utf8' })
  return list.split('\n').flatMap((line) => (line.includes('local/worker') ? [Number.parseInt(line, 10)] : []))
}
