import { readdir, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isMarkLeftBehind, processMark } from '../storage/left-behind.ts'
import { removeOrphans } from './orphans.ts'
import { removeLeftLock } from './process-lock.ts'
import { removalFormat, settleRemoval } from './removal.ts'

type Kind = 'quantize' | 'merge' | 'adapter' | 'convert'

/** Where a model is written before it has its name; no list shows it. */
export function partOf(file: string, kind: Kind): string {
  return `${file}.${kind}-${processMark}.part`
}

const unfinished = [
  /\.gguf\.(?<kind>quantize|merge|adapter|convert)-(?<mark>\d+(?:@[\w-]+)?)\.part(?:\.part)?$/,
  // What is known of one.
  /\.(?:sha256|report\.json)\.(?<mark>\d+(?:@[\w-]+)?)\.part$/,
  // The lock on one.
  /\.lock\.(?<mark>\d+(?:@[\w-]+)?)\.[0-9a-f-]{36}\.part$/,
  removalFormat,
]

/**
 * Removes what processes that have ended left of models that they made or removed, and at a start what has long been of no model.
 * `isStart`: whether this process has made nothing yet, so that what bears its number is of one before it, as in a container; subfolders
 * are looked through, too. What cannot be removed stays.
 */
export async function removeUnfinished(
  folder: string,
  { isStart, now = Date.now }: Readonly<{ isStart: boolean; now?: () => number }>,
): Promise<void> {
  const entries = await readdir(folder, { recursive: isStart, withFileTypes: true }).catch(() => [])
  for (const { name, parentPath } of entries) {
    if (isStart && name.endsWith('.lock')) await removeLeftLock(join(parentPath, name), now).catch(() => {})
    const { kind, mark } = unfinished.map((format) => format.exec(name)?.groups).find((groups) => groups !== undefined) ?? {}
    // Quantizations and merges come one at a time; everything else at any time.
    const mayBeOurs = !isStart && kind !== 'quantize' && kind !== 'merge'
    if (mark === undefined || (mayBeOurs && mark === processMark)) continue
    const path = join(parentPath, name)
    const { mtimeMs } = await stat(path).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
    if (!isMarkLeftBehind(mark, now() - mtimeMs)) continue
    const remove = removalFormat.test(name) ? settleRemoval(path) : rm(path, { recursive: true, force: true })
    await remove.catch(() => {})
  }
  if (isStart) await removeOrphans(entries, now())
}
