import { createHash, randomUUID } from 'node:crypto'
import { createWriteStream } from 'node:fs'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Transform } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { AppError } from '../errors.ts'
import { makeFolder } from '../storage/make-folder.ts'
import { findProcessFolder } from '../storage/process-folder.ts'
import { toStorageError } from '../storage/storage-error.ts'

export type TempFile = Readonly<{
  path: string
  sizeBytes: number
  /** In hex. */
  sha256: string
}>

/** Documents on their way in. They are files, so that none is ever in this process's memory whole. */
export interface TempFiles {
  /** An absolute path, of this process alone. */
  readonly folder: string
  /** Throws `too_large` past the limit, and whatever the source throws; the file is then gone. */
  save(source: AsyncIterable<Uint8Array>, maxBytes: number, signal: AbortSignal): Promise<TempFile>
  /** One that is gone already is no error; one that cannot go now goes at the end of the service, or at the next start. */
  remove(files: readonly TempFile[]): Promise<void>
  /** Removes all. */
  close(): Promise<void>
}

/**
 * Each process has a folder of its own in the given one. What a killed service left is removed, and nothing of one that runs: a second
 * one may be started by mistake.
 */
export async function openTempFiles(path: string): Promise<TempFiles> {
  const folder = await findProcessFolder(path)
  return {
    folder,
    async save(source, maxBytes, signal) {
      const file = join(folder, randomUUID())
      const hash = createHash('sha256')
      let sizeBytes = 0
      const measure = new Transform({
        transform(chunk: Uint8Array, _encoding, done) {
          sizeBytes += chunk.length
          if (sizeBytes > maxBytes) return done(tooLarge(maxBytes))
          hash.update(chunk)
          done(null, chunk)
        },
      })
      try {
        // Not before the first file: the data folder of a service without documents need not be writable.
        makeFolder(folder, 0o700)
        await pipeline(source, measure, createWriteStream(file, { mode: 0o600, flags: 'wx' }), { signal })
      } catch (error) {
        await rm(file, { force: true }).catch(() => {})
        throw signal.aborted
          ? new AppError('aborted', 'The upload was stopped.', { cause: error })
          : toStorageError(error, 'the uploads')
      }
      return { path: file, sizeBytes, sha256: hash.digest('hex') }
    },
    async remove(files) {
      await Promise.all(files.map(({ path: file }) => rm(file, { force: true }).catch(() => {})))
    },
    close: () => rm(folder, { recursive: true, force: true }),
  }
}

export function tooLarge(maxBytes: number): AppError {
  const most = maxBytes >= 1024 ** 2 ? `${Math.floor(maxBytes / 1024 ** 2)} MB` : `${maxBytes} bytes`
  return new AppError('too_large', `Documents may have ${most} at most (MAX_DOCUMENT_BYTES), all those of a request together.`)
}
