import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { discard, isSystemError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { processMark } from '../storage/left-behind.ts'

/** The SHA-256 of a file as lower-case hex. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path, { highWaterMark: 1 << 20, ...(signal ? { signal } : {}) })) hash.update(chunk)
  return hash.digest('hex')
}

/** What git calls a file of these bytes: the hub's checksum of small files. */
export async function hashGitBlob(path: string): Promise<string> {
  const content = await readFile(path)
  return createHash('sha1').update(`blob ${content.length}\0`).update(content).digest('hex')
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

/** Forces what was written to a file onto the disk. */
export async function syncFile(path: string): Promise<void> {
  const file = await open(path, 'r+')
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

/** Where a file came from: `owner/repository`, the path in it, and the commit that it was taken at. */
export type Origin = Readonly<{ repository: string; path: string; commit: string }>

/** What is known of an installed file: it lies beside it, and holds for the bytes that it was written for only. */
export type FileRecord = Readonly<{ sha256: string; origin: Origin | undefined }>

/** Makes a finished `.part` file, which is on the disk, the installed one, and records beside it what is known of it. */
export async function installFile(part: string, target: string, record: FileRecord): Promise<void> {
  await rename(part, target)
  await saveRecord(target, record)
}

/**
 * Also holds size and time of last change, so that a later start need not read the whole file again. The first line is what
 * `sha256sum -c` reads. `file`: where the bytes are, before they get their name.
 */
export async function saveRecord(path: string, { sha256, origin }: FileRecord, file = path): Promise<void> {
  const { size, mtimeMs } = await stat(file)
  const from = origin === undefined ? '' : `# from ${origin.repository} ${origin.commit} ${origin.path}\n`
  const text = `${sha256}  ${basename(path)}\n# size ${size} modified ${Math.trunc(mtimeMs)}\n${from}`
  const beside = `${recordOf(path)}.${processMark}.part`
  try {
    await writeFile(beside, text)
    await rename(beside, recordOf(path))
  } catch (error) {
    await discard(beside)
    throw error
  }
}

/** What is recorded of a file; undefined when nothing is, or the file has changed since. */
export async function findRecord(path: string): Promise<FileRecord | undefined> {
  try {
    const [{ size, mtimeMs }, text] = await Promise.all([stat(path), readFile(recordOf(path), 'utf8')])
    const [, sha256, bytes, modified, from] = recordFormat.exec(text) ?? []
    if (sha256 === undefined || Number(bytes) !== size || Number(modified) !== Math.trunc(mtimeMs)) return undefined
    const [, repository, commit, name] = /^(\S+) (\S+) (.+)$/.exec(from ?? '') ?? []
    const isKnown = repository !== undefined && commit !== undefined && name !== undefined
    return { sha256, origin: isKnown ? { repository, commit, path: name } : undefined }
  } catch (error) {
    if (isSystemError(error, 'ENOENT')) return undefined
    throw error
  }
}

const recordFormat = /^([0-9a-f]{64}) .*\n# size (\d+) modified (\d+)\n(?:# from (.*)\n)?$/

/** Whether a text is the record of a file of this name. */
export const isRecord = (text: string, name: string): boolean => recordFormat.test(text) && text.slice(66).startsWith(`${name}\n`)

export async function setAside(path: string): Promise<string> {
  const aside = `${path}.damaged`
  await rename(path, aside)
  await rm(recordOf(path), { force: true })
  return aside
}

/** Where the record of a file is. */
export function recordOf(path: string): string {
  return `${path}.sha256`
}

/** Throws `storage_full` with both numbers where there is not room for so many bytes. */
export async function checkSpace(
  { freeBytes }: Readonly<{ freeBytes: (folder: string) => Promise<number> }>,
  folder: string,
  needed: number,
): Promise<void> {
  const free = await freeBytes(folder)
  if (free >= needed) return
  const [need, have] = [needed, free].map((bytes) => Math.ceil(bytes / 1024 ** 2))
  throw new AppError(
    'storage_full',
    `The model needs ${need} MB in ${folder}, but only ${have} MB are free. Free some space, or set MODELS_DIR to a larger disk.`,
  )
}
