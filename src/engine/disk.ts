import { type FileHandle, lstat, mkdir, open, rename, rm, statfs } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError } from '../errors.ts'

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
  if (isSystemError(error, 'EACCES', 'EPERM', 'EROFS', 'ENOTDIR')) {
    return unusableFolder(folder, error)
  }
  if (isSystemError(error, 'EIO')) {
    return new AppError('unavailable', `The disk of ${folder} cannot be read or written (EIO). Check the disk itself.`, {
      cause: error,
    })
  }
  return error
}

/** For what may be missing: throws every error that says anything else. */
export function unlessMissing(error: unknown): undefined {
  if (!isSystemError(error, 'ENOENT')) throw error
}

/** Whether there is a file, a folder or a link, be it one that leads nowhere. */
export function isThere(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: unknown) => {
      unlessMissing(error)
      return false
    },
  )
}

/** Removes files that were begun and are of no use. That this fails, too, is not to hide why; whoever begins anew removes them. */
export async function discard(...paths: readonly string[]): Promise<void> {
  for (const path of paths) await rm(path, { force: true }).catch(() => {})
}

export function unusableFolder(folder: string, cause: unknown): AppError {
  return new AppError('unavailable', `The folder ${folder} cannot be written${byUser()}. Check its owner and permissions.`, {
    cause,
  })
}

export function unreadableFolder(folder: string, cause: unknown): AppError {
  return new AppError('unavailable', `The folder ${folder} cannot be read${byUser()}. Check its owner and permissions.`, {
    cause,
  })
}

function byUser(): string {
  return process.geteuid === undefined ? '' : ` by user id ${process.geteuid()}`
}

/**
 * Writes a file beside its place (`target.part`), forces it to the disk and puts it in place; makes its folder when there is
 * none. On failure nothing remains. Throws `storage_full` when the disk is full, `aborted`.
 */
export async function writeBeside(target: string, pieces: AsyncIterable<Uint8Array>, signal?: AbortSignal): Promise<void> {
  const part = `${target}.part`
  try {
    await mkdir(dirname(target), { recursive: true })
    const file = await open(part, 'w')
    try {
      for await (const piece of pieces) {
        if (signal?.aborted) throw new AppError('aborted', 'Writing the file was stopped.')
        await writeAll(file, piece)
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(part, target)
    await syncFolder(dirname(target))
  } catch (error) {
    await discard(part)
    throw toDiskError(error, dirname(target))
  }
}

export async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    // One write of the system takes less than 2 GiB.
    const { bytesWritten } = await file.write(bytes, written, Math.min(bytes.length - written, 1 << 26))
    written += bytesWritten
  }
}

/** A renamed file is only sure to be found under its new name once its folder is on the disk. */
export async function syncFolder(folder: string): Promise<void> {
  // Windows can't open folders, and does this by itself.
  if (process.platform === 'win32') return
  const handle = await open(folder, 'r')
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
