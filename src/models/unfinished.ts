import { randomUUID } from 'node:crypto'
import { readdir, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { isMarkLeftBehind, processMark } from '../storage/left-behind.ts'
import { removeLeftLock } from './process-lock.ts'

type Kind = 'quantize' | 'merge' | 'adapter' | 'convert'

/** Where a model is written before it has its name; no list shows it. */
export function partOf(file: string, kind: Kind): string {
  return `${file}.${kind}-${processMark}.part`
}

/** Where the files of a model go that is being removed; no list shows them. */
export function removalFolderOf(file: string): string {
  return join(dirname(file), `.removed-${processMark}.${randomUUID()}`)
}

const unfinished = [
  /\.gguf\.(?<kind>quantize|merge|adapter|convert)-(?<mark>[\w@-]+)\.part(?:\.part)?$/,
  // What is known of one.
  /\.(?:sha256|report\.json)\.(?<mark>[\w@-]+)\.part$/,
  // The lock on one.
  /\.lock\.(?<mark>[\w@-]+)\.[0-9a-f-]{36}\.part$/,
  /^\.removed-(?<mark>[\w@-]+)\.[\w-]+$/,
]

/**
 * Removes what processes that have ended left of models that they made or removed. `isStart`: whether this process has made nothing
 * yet, so that what bears its number is of one before it, as in a container; subfolders are looked through, too. What cannot be removed
 * stays.
 */
export async function removeUnfinished(folder: string, { isStart }: Readonly<{ isStart: boolean }>): Promise<void> {
  const entries = await readdir(folder, { recursive: isStart, withFileTypes: true }).catch(() => [])
  for (const { name, parentPath } of entries) {
    if (isStart && name.endsWith('.lock')) await removeLeftLock(join(parentPath, name), Date.now).catch(() => {})
    const { kind, mark } = unfinished.map((format) => format.exec(name)?.groups).find((groups) => groups !== undefined) ?? {}
    // Quantizations and merges come one at a time; everything else at any time.
    const mayBeOurs = !isStart && kind !== 'quantize' && kind !== 'merge'
    if (mark === undefined || (mayBeOurs && mark === processMark)) continue
    const path = join(parentPath, name)
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
    if (isMarkLeftBehind(mark, Date.now() - mtimeMs)) await rm(path, { recursive: true, force: true }).catch(() => {})
  }
}
