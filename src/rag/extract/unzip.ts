import { type UnzipFileInfo, unzipSync } from 'fflate'
import { AppError } from '../../errors.ts'

/** The files of an archive by their path, unpacked. */
export type Archive = ReadonlyMap<string, Uint8Array>

export type UnzipLimits = Readonly<{ maxFiles: number; maxBytes: number }>
export const usualUnzipLimits: UnzipLimits = { maxFiles: 20_000, maxBytes: 256 * 1024 ** 2 }

/** The paths inside an archive; nothing is unpacked. Throws as `unzip`. */
export function listArchive(bytes: Uint8Array, limits = usualUnzipLimits): readonly string[] {
  const paths: string[] = []
  readArchive(bytes, ({ name }) => {
    paths.push(name)
    if (paths.length > limits.maxFiles) throw tooManyFiles(limits)
    return false
  })
  return paths
}

/**
 * Unpacks the files that `isWanted` chooses. What an archive claims as a file's size bounds the memory that the file gets, and the sum
 * is bounded before anything is unpacked. Throws `unprocessable` for a broken archive, `too_large` for one that grows too much.
 */
export function unzip(bytes: Uint8Array, isWanted: (path: string) => boolean, limits = usualUnzipLimits): Archive {
  let total = 0
  let files = 0
  const found = readArchive(bytes, ({ name, originalSize }) => {
    files += 1
    if (files > limits.maxFiles) throw tooManyFiles(limits)
    if (name.endsWith('/') || !isWanted(name)) return false
    total += originalSize
    if (total > limits.maxBytes) {
      const most = Math.round(limits.maxBytes / 1024 ** 2)
      throw new AppError('too_large', `Unpacked, the file would take more than ${most} MB.`)
    }
    return true
  })
  return new Map(Object.entries(found))
}

function readArchive(bytes: Uint8Array, filter: (file: UnzipFileInfo) => boolean): Record<string, Uint8Array> {
  try {
    return unzipSync(bytes, { filter })
  } catch (error) {
    if (error instanceof AppError) throw error
    throw new AppError('unprocessable', 'The file is a ZIP archive that is damaged or cut off.', { cause: error })
  }
}

function tooManyFiles({ maxFiles }: UnzipLimits): AppError {
  return new AppError('too_large', `The file is an archive of more than ${maxFiles} files.`)
}
