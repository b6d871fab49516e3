import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError } from '../../errors.ts'
import { toDiskError } from '../verified-file.ts'

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
        if (signal?.aborted) throw new AppError('aborted', 'Writing the model was stopped.')
        await writeAll(file, piece)
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(part, target)
  } catch (error) {
    await rm(part, { force: true })
    throw toDiskError(error, dirname(target))
  }
}

async function writeAll(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let written = 0; written < bytes.length; ) {
    // One write of the system takes less than 2 GiB.
    const { bytesWritten } = await file.write(bytes, written, Math.min(bytes.length - written, 1 << 26))
    written += bytesWritten
  }
}
