import { randomUUID } from 'node:crypto'
import { readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { isLeftBehind } from './left-behind.ts'

/** What this process makes now. */
const underWay = new Set<string>()

/**
 * Has a folder made beside the place of another and puts it there: whoever looks, and whoever comes after a sudden end, finds the old one,
 * the new one or none, and never a part of one. Of two that are made at once one stays. What ended processes left beside it is removed.
 */
export async function replaceFolder(place: string, make: (beside: string) => Promise<void>): Promise<void> {
  await removeLeftBehind(place)
  const beside = `${place}.${process.pid}.${randomUUID()}`
  const old = `${beside}.old`
  underWay.add(basename(beside)).add(basename(old))
  try {
    await make(beside)
    await rename(place, old).catch(unless('ENOENT'))
    try {
      // Another process was faster.
      await rename(beside, place).catch(unless('ENOTEMPTY', 'EEXIST'))
    } catch (error) {
      await rename(old, place).catch(() => {})
      throw error
    }
  } finally {
    for (const path of [old, beside]) await rm(path, { recursive: true, force: true }).catch(() => {})
    for (const path of [old, beside]) underWay.delete(basename(path))
  }
}

function unless(...codes: readonly string[]) {
  return (error: unknown): void => {
    if (error instanceof Error && 'code' in error && codes.includes(String(error.code))) return
    throw error
  }
}

async function removeLeftBehind(place: string): Promise<void> {
  const folder = dirname(place)
  for (const name of await readdir(folder).catch(() => [])) {
    const [pid] = name.startsWith(`${basename(place)}.`) ? name.slice(basename(place).length + 1).split('.') : []
    const isOnes = pid !== undefined && /^\d+$/.test(pid) && !underWay.has(name)
    if (isOnes && isLeftBehind(Number(pid))) await rm(join(folder, name), { recursive: true, force: true })
  }
}
