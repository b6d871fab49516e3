import { mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { AppError } from '../../errors.ts'
import { toDiskError } from '../verified-file.ts'
import { syncFolder, writeAll } from './gguf-writer.ts'

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
    await syncFolder(dirname(target))
  } catch (error) {
    await rm(part, { force: true })
    throw toDiskError(error, dirname(target))
  }
}
