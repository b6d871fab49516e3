import { type UnzipFileInfo, unzipSync } from 'fflate'
import { AppError } from '../../errors.ts'

/** The files of an archive by their path, unpacked. */
export type Archive = ReadonlyMap<string, Uint8Array>

export type UnzipLimits = Readonly<{ maxFiles: number; maxBytes: number }>
export const usualUnzipLimits: UnzipLimits = { maxFiles: 20_000, maxBytes: 256 * 1024 ** 2 }

/** The method of a file that is packed as it is (APPNOTE 4.4.5). */
const stored = 0

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
 * Unpacks the files that `isWanted` chooses. The sum of what they take is checked before each is unpacked: a compressed file gets the
 * memory of the size that the archive claims, a stored one that of its packed size. Many entries may point to the same bytes, so the
 * archive's own length bounds nothing. Throws `unprocessable` for a broken archive, `too_large` for one that grows too much.
 */
export function unzip(bytes: Uint8Array, isWanted: (path: string) => boolean, limits = usualUnzipLimits): Archive {
  let total = 0
  let files = 0
  const found = readArchive(bytes, ({ name, size, originalSize, compression }) => {
    files += 1
    if (files > limits.maxFiles) throw tooManyFiles(limits)
    if (name.endsWith('/') || !isWanted(name)) return false
    if (compression === stored && size !== originalSize) throw damaged()
    total += Math.max(size, originalSize)
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
    throw damaged(error)
  }
}

function damaged(cause?: unknown): AppError {
  return new AppError('unprocessable', 'The file is a ZIP archive that is damaged or cut off.', { cause })
}

function tooManyFiles({ maxFiles }: UnzipLimits): AppError {
  return new AppError('too_large', `The file is an archive of more than ${maxFiles} files.`)
}
