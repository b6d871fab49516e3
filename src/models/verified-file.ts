import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, rename, rm, stat, statfs, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { AppError } from '../errors.ts'

/** The SHA-256 of a file as lower-case hex. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, ...(signal ? { signal } : {}) })) hash.update(chunk)
  return hash.digest('hex')
}

/** Size of a file in bytes, or undefined where there is none. */
export async function findSize(path: string): Promise<number | undefined> {
  try {
    return (await stat(path)).size
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}

/**
 * Makes a finished `.part` file the installed one: forced to disk, renamed, and its checksum recorded beside it.
 * The record also holds size and time of last change, so that a later start need not read the whole file again.
 */
export async function installFile(part: string, target: string, sha256: string): Promise<void> {
  const file = await open(part, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(part, target)
  await saveRecord(target, sha256)
}

export async function saveRecord(path: string, sha256: string): Promise<void> {
  const { size, mtimeMs } = await stat(path)
  const text = `${sha256}  ${basename(path)}\n# size ${size} modified ${Math.trunc(mtimeMs)}\n`
  const beside = `${recordOf(path)}.part`
  await writeFile(beside, text)
  await rename(beside, recordOf(path))
}

/** The checksum recorded for a file, or undefined when there is none or the file has changed since. */
export async function findRecordedHash(path: string): Promise<string | undefined> {
  try {
    const [{ size, mtimeMs }, text] = await Promise.all([stat(path), readFile(recordOf(path), 'utf8')])
    const [, hash, bytes, modified] = /^([0-9a-f]{64}) .*\n# size (\d+) modified (\d+)\n$/.exec(text) ?? []
    return Number(bytes) === size && Number(modified) === Math.trunc(mtimeMs) ? hash : undefined
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}

export async function setAside(path: string): Promise<string> {
  const aside = `${path}.damaged`
  await rename(path, aside)
  await rm(recordOf(path), { force: true })
  return aside
}

function recordOf(path: string): string {
  return `${path}.sha256`
}

/** Bytes that this user may still write on the disk of a folder. */
export async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}

export function isSystemError(error: unknown, ...codes: readonly string[]): boolean {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && codes.includes(error.code)
}

/** Turns what the disk refused into an error that names the folder; anything else is passed on. */
export function toDiskError(error: unknown, folder: string): unknown {
  if (isSystemError(error, 'ENOSPC', 'EDQUOT')) {
    return new AppError('storage_full', `The disk of ${folder} is full. Free some space and start again.`, { cause: error })
  }
  if (isSystemError(error, 'EACCES', 'EPERM', 'EROFS')) {
    return unusableFolder(folder, error)
  }
  return error
}

export function unusableFolder(folder: string, cause: unknown): AppError {
  return new AppError('unavailable', `The folder ${folder} cannot be written. Check its owner and permissions.`, { cause })
}
