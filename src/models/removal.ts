import { randomUUID } from 'node:crypto'
import { lstat, mkdir, readdir, rename, rm } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { isSystemError, isThere, unlessMissing } from '../engine/disk.ts'
import { isMarkLeftBehind, processMark } from '../storage/left-behind.ts'

/** What this process removes now. */
const underWay = new Set<string>()

export const removalFormat = /^\.removed-(?<mark>\d+(?:@[\w-]+)?)\.[\w-]+$/

/**
 * Removes a model: all of its files are gone afterwards, or all are as they were, also where the process is killed, once `settleRemoval` has
 * been there. What belongs to it is put aside first, as it lay beside the model; its first file follows last, and with that it is removed.
 */
export async function removeWhole(first: string, { parts, besides }: ModelParts): Promise<void> {
  const aside = join(dirname(first), `.removed-${processMark}.${randomUUID()}`)
  underWay.add(aside)
  try {
    await mkdir(restOf(aside), { recursive: true })
    for (const path of [...besides, ...parts]) {
      const place = join(restOf(aside), relative(dirname(first), path))
      await mkdir(dirname(place), { recursive: true })
      await rename(path, place).catch(unlessMissing)
    }
    await rename(first, firstOf(aside)).catch(unlessMissing)
    // What stays is removed by the next start.
    await removeAside(aside).catch(() => {})
  } catch (error) {
    // A folder takes room, too.
    if (isFull(error)) await removeInPlace(first, { aside, parts, besides })
    else {
      await settleRemoval(aside).catch(() => {})
      throw error
    }
  } finally {
    underWay.delete(aside)
  }
}

export type ModelParts = Readonly<{
  /** All files of the model but the first, in the order in which they are to go. */
  parts: readonly string[]
  /** What is kept beside them. */
  besides: readonly string[]
}>

const restOf = (aside: string) => join(aside, 'rest')
const firstOf = (aside: string) => join(aside, 'first')

export const isFull = (error: unknown) => isSystemError(error, 'ENOSPC', 'EDQUOT')

/** As long as the first file is there, the removal can be asked for again; without it, what lies beside is of nothing. */
async function removeInPlace(first: string, { aside, parts, besides }: ModelParts & Readonly<{ aside: string }>): Promise<void> {
  await rm(restOf(aside), { recursive: true, force: true })
  for (const path of [...parts, first, ...besides]) await rm(path, { force: true })
  await rm(aside, { recursive: true, force: true }).catch(() => {})
}

/** Ends a removal that was cut off: where the first file had gone, all goes, else all comes back. */
export async function settleRemoval(aside: string): Promise<void> {
  if (!(await isThere(firstOf(aside)))) await putBack(restOf(aside), dirname(aside))
  await removeAside(aside)
}

/** As `settleRemoval`, those in a folder that ended processes, and failures of this one, have left. */
export async function settleRemovals(folder: string, nowMs: number): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const mark = removalFormat.exec(name)?.groups?.mark
    const aside = join(folder, name)
    if (mark === undefined || underWay.has(aside)) continue
    const facts = await lstat(aside).catch(() => undefined)
    if (facts !== undefined && isMarkLeftBehind(mark, nowMs - facts.mtimeMs)) await settleRemoval(aside)
  }
}

/** The first file last: while it is there all has gone, and nothing comes back. */
async function removeAside(aside: string): Promise<void> {
  await rm(restOf(aside), { recursive: true, force: true })
  await rm(aside, { recursive: true, force: true })
}

/** What has been put into a place meanwhile stays. */
async function putBack(rest: string, folder: string): Promise<void> {
  const entries = await readdir(rest, { recursive: true, withFileTypes: true }).catch((error: unknown) => {
    unlessMissing(error)
    return []
  })
  for (const entry of entries) {
    if (entry.isDirectory()) continue
    const path = join(entry.parentPath, entry.name)
    const place = join(folder, relative(rest, path))
    if (await isThere(place)) continue
    await mkdir(dirname(place), { recursive: true })
    await rename(path, place).catch(unlessMissing)
  }
}
