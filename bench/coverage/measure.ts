// `node bench/coverage/measure.ts [--project unit] [--keep FILE] [--show] [test files]` runs tests and says which share of the branches
// of each file they ran. With --keep it adds to what FILE holds of earlier runs; with --show it says that, and runs nothing.
import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { parseArgs } from 'node:util'
import { type Counts, countTests, mergeCounts } from './count-tests.ts'
import type { Range } from './merge-ranges.ts'
import { describeFiles, describeFolders } from './report.ts'

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    project: { type: 'string', default: 'unit' },
    keep: { type: 'string' },
    show: { type: 'boolean', default: false },
  },
})
const { project, keep, show } = values

const runs: Counts[] = keep === undefined ? [] : [await readKept(keep)]
if (!show) {
  const { counts, exitCode } = await countTests(project, positionals)
  runs.push(counts)
  process.exitCode = exitCode
}
const counts = mergeCounts(runs)
if (keep !== undefined) await save(keep, counts)
for (const line of [...(await describeFiles(counts)), '', ...describeFolders(counts)]) console.log(line)

type Kept = Readonly<Record<string, Readonly<{ hash: string; ranges: readonly Range[] }>>>

/** What was counted of a file that has changed since is nothing any more. */
async function readKept(path: string): Promise<Counts> {
  const kept: Kept = existsSync(path) ? JSON.parse(await readFile(path, 'utf8')) : {}
  const counts = new Map<string, readonly Range[]>()
  for (const [file, { hash, ranges }] of Object.entries(kept)) if (hash === (await hashOf(file))) counts.set(file, ranges)
  return counts
}

async function save(path: string, all: Counts): Promise<void> {
  const entries = [...all].map(async ([file, ranges]) => [file, { hash: await hashOf(file), ranges }] as const)
  await writeFile(path, JSON.stringify(Object.fromEntries(await Promise.all(entries))))
}

async function hashOf(file: string): Promise<string> {
  return existsSync(file)
    ? createHash('sha256')
        .update(await readFile(file))
        .digest('hex')
    : ''
}
