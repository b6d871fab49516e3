import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { glob, mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { mergeRanges, type Range, withCode } from './merge-ranges.ts'

/** The blocks of each file of `src` that was loaded, and whether they ran. */
export type Counts = ReadonlyMap<string, readonly Range[]>

type Profile = Readonly<{ result: ReadonlyArray<Readonly<{ url: string; functions: readonly Counted[] }>> }>
type Counted = Readonly<{ ranges: readonly Range[] }>

/** Runs tests of a project of vitest.config.ts, and has Node.js itself count what they, and the processes that they start, run. */
export async function countTests(
  project: string,
  tests: readonly string[],
): Promise<Readonly<{ counts: Counts; exitCode: number }>> {
  const folder = await mkdtemp(join(tmpdir(), 'simpleia-coverage-'))
  try {
    const vitest = ['node_modules/vitest/vitest.mjs', 'run', '--config', 'bench/coverage/vitest.config.ts', '--root', '.']
    const child = spawn(process.execPath, [...vitest, '--project', project, ...tests], {
      // Of code that comes from a cache, V8 counts less exactly.
      env: { ...process.env, NODE_V8_COVERAGE: folder, NODE_DISABLE_COMPILE_CACHE: '1' },
      stdio: 'inherit',
    })
    const [code] = await once(child, 'exit')
    return { counts: await readCounts(folder), exitCode: code === 0 ? 0 : 1 }
  } finally {
    await rm(folder, { recursive: true })
  }
}

/** What was counted in any of several runs. */
export function mergeCounts(runs: readonly Counts[]): Counts {
  const files = new Set(runs.flatMap((counts) => [...counts.keys()]))
  return new Map([...files].map((file) => [file, mergeRanges(runs.map((counts) => counts.get(file) ?? []))]))
}

/** A file that nothing has loaded is one block that did not run; unless it holds types alone, which nothing loads. */
export async function withUnloaded(counts: Counts): Promise<Counts> {
  const all = new Map(counts)
  for await (const file of glob('src/**/*.ts')) {
    if (all.has(file)) continue
    const text = await readFile(file, 'utf8')
    if (/^(?!import type|export type|export interface|\s|\/|\}|type |interface |declare |$)/m.test(text))
      all.set(file, [{ startOffset: 0, endOffset: text.length, count: 0 }])
  }
  return all
}

async function readCounts(folder: string): Promise<Counts> {
  // Most processes load a file and run the same of it: each way once.
  const ways = new Map<string, Map<string, readonly Range[]>>()
  for (const name of await readdir(folder)) {
    const { result }: Profile = JSON.parse(await readFile(join(folder, name), 'utf8'))
    for (const { url, functions } of result) {
      const file = url.startsWith('file:') ? relative(resolve('.'), fileURLToPath(url)) : ''
      if (!file.startsWith('src/')) continue
      const ranges = functions.flatMap((counted) =>
        counted.ranges.map((range) => ({ ...range, count: Math.min(range.count, 1) })),
      )
      ways.set(file, (ways.get(file) ?? new Map<string, readonly Range[]>()).set(JSON.stringify(ranges), ranges))
    }
  }
  const counts = new Map<string, readonly Range[]>()
  for (const [file, its] of ways) counts.set(file, withCode(mergeRanges([...its.values()]), await readFile(file, 'utf8')))
  return counts
}
