import type { Dirent } from 'node:fs'
import { lstat, readFile, rm } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { isThere } from '../engine/disk.ts'
import { isReport } from './quantize-report.ts'
import { isRecord } from './verified-file.ts'

/** A model that was moved away may come back. */
const longMs = 30 * 24 * 3600 * 1000
const mostBytes = 100_000

type Kind = Readonly<{
  format: RegExp
  modelsOf: (stem: string) => readonly string[]
  isOurs: (text: string, of: string) => boolean
}>

const kinds: readonly Kind[] = [
  { format: /^(.+)\.sha256$/s, modelsOf: (stem) => [stem], isOurs: isRecord },
  { format: /^(.+)\.report\.json$/s, modelsOf: (stem) => [`${stem}.gguf`, stem], isOurs: isReport },
]

/**
 * Removes records and reports that lie beside no model: what a killed process left, or who removed a model by hand. Only those that this
 * program has written, by what is in them, and that have lain there for a month.
 */
export async function removeOrphans(entries: readonly Dirent[], nowMs: number): Promise<void> {
  for (const entry of entries) {
    const path = join(entry.parentPath, entry.name)
    if (!entry.isFile() || path.split(sep).some((part) => part.startsWith('.removed-'))) continue
    for (const kind of kinds)
      if (await isOrphan(path, kind, nowMs).catch(() => false)) await rm(path, { force: true }).catch(() => {})
  }
}

async function isOrphan(path: string, { format, modelsOf, isOurs }: Kind, nowMs: number): Promise<boolean> {
  const [, stem] = format.exec(basename(path)) ?? []
  if (stem === undefined) return false
  const { size, mtimeMs, ctimeMs } = await lstat(path)
  // When it came here: copies may keep the time of their last change.
  if (size > mostBytes || nowMs - Math.max(mtimeMs, ctimeMs) < longMs) return false
  if (!isOurs(await readFile(path, 'utf8'), stem)) return false
  // A link that leads nowhere now is a model, too.
  for (const model of modelsOf(stem)) if (await isThere(join(dirname(path), model))) return false
  return true
}
