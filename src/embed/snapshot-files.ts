import { randomUUID } from 'node:crypto'
import { constants } from 'node:fs'
import { type FileHandle, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../errors.ts'
import { isMarkLeftBehind, processMark } from '../storage/left-behind.ts'
import { makeFolder } from '../storage/make-folder.ts'
import { toStorageError } from '../storage/storage-error.ts'
import type { Collection, Owner } from './collection.ts'

export type SnapshotFile = Readonly<{ name: string; sizeBytes: number; createdAt: string }>

export type SnapshotFiles = Readonly<{
  /** Writes beside and renames, so that a failure leaves the old file. Throws `storage_full`, `unavailable`, `invalid` for the name. */
  replace<T>(owner: Owner, name: string, write: (file: FileHandle) => Promise<T>): Promise<T>
  /** A file that the reader finds `invalid` is renamed. Throws `not_found`, `invalid` for the name, and what the reader throws. */
  read<T>(owner: Owner, name: string, read: (file: FileHandle) => Promise<T>): Promise<T>
  /** By name. */
  list(owner: Owner): Promise<readonly SnapshotFile[]>
  /** Throws `not_found`. */
  remove(owner: Owner, name: string): Promise<void>
}>

const ending = '.snapshot'
const partEnding = '.part'

export type SnapshotFilesParts = Readonly<{
  /** A test can fill the disk. */
  openFile?: typeof open
  /** Whether no other process may have what is not found here. */
  isAlone?: () => boolean
}>

/**
 * The snapshots of all owners, each in a folder of their own. What a process that was killed had begun is removed at the start,
 * and nothing of one that runs: a second one may be started by mistake.
 */
export async function openSnapshotFiles(
  folder: string,
  { openFile = open, isAlone = () => true }: SnapshotFilesParts = {},
): Promise<SnapshotFiles> {
  for (const path of await listFiles(folder, true))
    if (await isDeadPart(folder, path)) await rm(join(folder, path), { force: true })
  const missing = (name: string) => noSnapshot(name, isAlone())
  const pathOf = (owner: Owner, name: string) => join(folderOf(folder, owner), `${checkName(name)}${ending}`)
  return {
    async replace(owner, name, write) {
      const path = pathOf(owner, name)
      const beside = `${path}.${processMark}.${randomUUID()}${partEnding}`
      try {
        makeFolder(folderOf(folder, owner), 0o700)
        const outcome = await useFile(await openFile(beside, 'wx', 0o600), write)
        await rename(beside, path)
        return outcome
      } catch (error) {
        await rm(beside, { force: true }).catch(() => {})
        throw toStorageError(error, 'the snapshots')
      }
    },

    async read(owner, name, read) {
      const path = pathOf(owner, name)
      try {
        return await useFile(await openPlainFile(path, missing(name)), read)
      } catch (error) {
        if (!(error instanceof AppError) || error.code !== 'invalid') throw error
        await rename(path, `${path}.damaged`).catch(() => {})
        throw new AppError('invalid', `${error.message} The file was kept aside as ${name}${ending}.damaged.`, { cause: error })
      }
    },

    async list(owner) {
      const files: SnapshotFile[] = []
      for (const file of (await listFiles(folderOf(folder, owner), false)).sort()) {
        const facts = file.endsWith(ending) ? await stat(join(folderOf(folder, owner), file)).catch(() => undefined) : undefined
        if (facts?.isFile() !== true) continue
        files.push({ name: file.slice(0, -ending.length), sizeBytes: facts.size, createdAt: facts.mtime.toISOString() })
      }
      return files
    },

    async remove(owner, name) {
      await rm(pathOf(owner, name)).catch((error: unknown) => {
        throw isMissing(error) ? missing(name) : toStorageError(error, 'the snapshots')
      })
    },
  }
}

async function isDeadPart(folder: string, path: string): Promise<boolean> {
  if (!path.endsWith(partEnding)) return false
  const [, mark = ''] = /\.([\w@-]+)\.[^.]+\.part$/.exec(path) ?? []
  const facts = await stat(join(folder, path)).catch(() => undefined)
  return facts !== undefined && isMarkLeftBehind(mark, Date.now() - facts.mtimeMs)
}

async function useFile<T>(file: FileHandle, work: (file: FileHandle) => Promise<T>): Promise<T> {
  try {
    return await work(file)
  } finally {
    await file.close()
  }
}

/** Never through a link: it may lead out of the folder. */
async function openPlainFile(path: string, missing: AppError): Promise<FileHandle> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW).catch((error: unknown) => {
    throw isMissing(error) ? missing : error
  })
  if ((await file.stat()).isFile()) return file
  await file.close()
  throw missing
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && (error.code === 'ENOENT' || error.code === 'ELOOP')
}

function noSnapshot(name: string, isAlone: boolean): AppError {
  const others = ' on the disk of this replica. It may be on that of another one: let all of them share DATA_DIR.'
  return new AppError('not_found', `You have no snapshot "${name}"${isAlone ? '.' : others}`)
}

/** A name that is no path on any system. */
const nameFormat = /^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/

/**
 * The collection's own name where a file can bear it; otherwise what is left of it without accents and blanks, with the beginning of the
 * id, so that two collections never share a file.
 */
export function snapshotNameOf({ name, id }: Pick<Collection, 'name' | 'id'>): string {
  if (nameFormat.test(name)) return name
  const plain = name.normalize('NFD').replace(/\p{M}/gu, '')
  const safe = plain.replace(/[^A-Za-z0-9_-]+/g, '-').replace(/^[-_]+|[-_]+$/g, '')
  return [safe.slice(0, 50), id.slice(0, 8)].filter((part) => part !== '').join('-')
}

function checkName(name: string): string {
  if (nameFormat.test(name)) return name
  const expected = '1 to 64 letters from a to z, digits, - and _, with a letter or digit first'
  const details = [{ field: 'name', expected, got: `a text of ${name.length} characters` }]
  throw new AppError('invalid', `The name of a snapshot must be ${expected}.`, { details })
}

/** The ids of users are ours, and hold nothing that a path could be made of. */
function folderOf(folder: string, owner: Owner): string {
  if (owner === null || !/^[A-Za-z0-9_-]+$/.test(owner)) throw new AppError('forbidden', 'Snapshots belong to users.')
  return join(folder, owner)
}

async function listFiles(folder: string, recursive: boolean): Promise<string[]> {
  return readdir(folder, { recursive }).catch((error: unknown) => {
    if (isMissing(error)) return []
    throw error
  })
}
