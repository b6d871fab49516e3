import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import type { Counts } from './count-tests.ts'
import type { Range } from './merge-ranges.ts'

type Kept = Readonly<Record<string, Readonly<{ hash: string; ranges: readonly Range[] }>>>

/** What was counted of a file that has changed since is nothing any more. */
export async function readKept(path: string): Promise<Counts> {
  const kept: Kept = existsSync(path) ? JSON.parse(await readFile(path, 'utf8')) : {}
  const counts = new Map<string, readonly Range[]>()
  for (const [file, { hash, ranges }] of Object.entries(kept)) if (hash === (await hashOf(file))) counts.set(file, ranges)
  return counts
}

export async function saveKept(path: string, counts: Counts): Promise<void> {
  const entries = [...counts].map(async ([file, ranges]) => [file, { hash: await hashOf(file), ranges }] as const)
  await writeFile(path, JSON.stringify(Object.fromEntries(await Promise.all(entries))))
}

async function hashOf(file: string): Promise<string> {
  return existsSync(file)
    ? createHash('sha256')
        .update(await readFile(file))
        .digest('hex')
    : ''
}
