import { readdir, rm, stat } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { isMarkLeftBehind, processMark } from './left-behind.ts'

/**
 * The path of a folder for this process alone in the given one; it is not made. What ended processes left there is removed, and nothing of
 * one that runs, on this machine or another that shares the folder.
 */
export async function findProcessFolder(path: string): Promise<string> {
  for (const name of await listNames(path)) {
    const place = join(path, name)
    const changedMs = await stat(place).then(
      ({ mtimeMs }) => mtimeMs,
      () => Number.POSITIVE_INFINITY,
    )
    if (isMarkLeftBehind(name, Date.now() - changedMs)) await rm(place, { recursive: true, force: true })
  }
  return join(resolve(path), processMark)
}

async function listNames(folder: string): Promise<string[]> {
  return readdir(folder).catch((error: unknown) => {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return []
    throw error
  })
}
