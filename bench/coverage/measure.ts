// `node bench/coverage/measure.ts [test files]`: runs unit tests and says which share of the branches of each file they ran.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { type Coverage, mergeRanges, type Script } from './merge-ranges.ts'

const folder = await mkdtemp(join(tmpdir(), 'simpleia-coverage-'))
const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'bench/coverage/vitest.config.ts', '--root', '.']
const child = spawn(process.execPath, [...vitest, ...process.argv.slice(2)], {
  env: { ...process.env, NODE_V8_COVERAGE: folder },
  stdio: 'inherit',
})
await once(child, 'exit')
const files = await readScripts(folder)
await rm(folder, { recursive: true })

for (const [file, scripts] of [...files].sort(([one], [other]) => one.localeCompare(other)))
  console.log(await describe(file, mergeRanges(scripts)))

async function readScripts(from: string): Promise<Map<string, Script[]>> {
  const found = new Map<string, Script[]>()
  for (const name of await readdir(from)) {
    const { result }: Readonly<{ result: readonly Script[] }> = JSON.parse(await readFile(join(from, name), 'utf8'))
    for (const script of result) {
      if (!script.url.startsWith('file:')) continue
      const file = relative(resolve('.'), fileURLToPath(script.url))
      if (file.startsWith('src/')) found.set(file, [...(found.get(file) ?? []), script])
    }
  }
  return found
}

async function describe(file: string, { branches, covered, missed }: Coverage): Promise<string> {
  const text = await readFile(file, 'utf8')
  const lines = [...new Set(missed.map((offset) => text.slice(0, offset).split('\n').length))]
  const share = `${((100 * covered) / branches).toFixed(1)} %`.padStart(8)
  return `${share} ${String(covered).padStart(5)}/${String(branches).padEnd(5)} ${file}${lines.length === 0 ? '' : `  not: ${lines.join(', ')}`}`
}
