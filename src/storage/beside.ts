import { randomUUID } from 'node:crypto'
import { readdir, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { isMarkLeftBehind, processMark } from './left-behind.ts'

/** What this process writes now. */
const underWay = new Set<string>()

/**
 * Gives the work a path beside a file, to write what is to take its place; nothing is left there afterwards. What ended processes, and
 * failures of this one, have left beside it is removed before.
 */
export async function workBeside<T>(path: string, work: (beside: string) => Promise<T>): Promise<T> {
  const beside = `${resolve(path)}.${processMark}.${randomUUID()}.part`
  underWay.add(beside)
  try {
    await removeLeftBeside(path)
    return await work(beside)
  } finally {
    await rm(beside, { force: true }).catch(() => {})
    underWay.delete(beside)
  }
}

/** Removes what ended processes, and failures of this one, have left beside a file. */
export async function removeLeftBeside(path: string): Promise<void> {
  const folder = resolve(dirname(path))
  for (const name of await readdir(folder).catch(() => [])) {
    const [, mark] = name.startsWith(`${basename(path)}.`) ? (partFormat.exec(name.slice(basename(path).length)) ?? []) : []
    const left = join(folder, name)
    if (mark === undefined || underWay.has(left)) continue
    const facts = await stat(left).catch(() => undefined)
    if (facts !== undefined && isMarkLeftBehind(mark, Date.now() - facts.mtimeMs)) await rm(left, { force: true }).catch(() => {})
  }
}

const partFormat = /^\.([\w@-]+)\.[0-9a-f-]{36}\.part$/
