import { randomUUID } from 'node:crypto'
import { readdir, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { isMarkLeftBehind, processMark } from './left-behind.ts'

/** What this process is writing now. Whatever else bears its number is of one before it, as in a container. */
const ours = new Set<string>()

/**
 * Gives `work` the path of a file beside a place, to write what is to be put there; it is not made. Nothing of it remains unless the work
 * has renamed it, and what ended processes left beside the place is removed before.
 */
export async function writeBesidePlace<T>(place: string, work: (beside: string) => Promise<T>): Promise<T> {
  const beside = `${resolve(place)}.${processMark}.${randomUUID()}.part`
  ours.add(beside)
  try {
    await removeLeftBeside(place)
    return await work(beside)
  } finally {
    await rm(beside, { force: true }).catch(() => {})
    ours.delete(beside)
  }
}

/** Removes what ended processes left beside a place. What cannot be removed is no reason to do nothing. */
export async function removeLeftBeside(place: string): Promise<void> {
  const [folder, prefix] = [dirname(resolve(place)), `${basename(place)}.`]
  for (const name of await readdir(folder).catch(() => [])) {
    const [, mark] = name.startsWith(prefix) ? (partFormat.exec(name.slice(prefix.length)) ?? []) : []
    const path = join(folder, name)
    if (mark === undefined || ours.has(path)) continue
    const facts = await stat(path).catch(() => undefined)
    if (facts !== undefined && isMarkLeftBehind(mark, Date.now() - facts.mtimeMs)) await rm(path, { force: true }).catch(() => {})
  }
}

const partFormat = /^([\w@-]+)\.[0-9a-f-]{36}\.part$/
