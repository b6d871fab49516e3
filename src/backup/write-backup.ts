import { type FileHandle, open, rename } from 'node:fs/promises'
import { dirname, isAbsolute, join, relative, resolve, sep } from 'node:path'
import { AppError } from '../errors.ts'
import { workBeside } from '../storage/beside.ts'
import { makeFolder } from '../storage/make-folder.ts'
import type { Storage } from '../storage/open-storage.ts'
import { toStorageError } from '../storage/storage-error.ts'
import type { TableLayout } from '../storage/transfer/layout.ts'
import { readLastNumber, readRows } from '../storage/transfer/read-rows.ts'
import { createTableSum } from '../storage/transfer/table-sum.ts'
import { backupsFolder, type KeptFile, type KeptFolders, listKeptFiles } from './kept-files.ts'
import { format, type Manifest, manifestName, rowsName } from './manifest.ts'
import { type TarWriter, writeTar } from './tar-file.ts'

export type BackupParts = Readonly<{
  storage: Storage
  layouts: readonly TableLayout[]
  /** The migrations that the database has had, in their order. */
  migrations: readonly string[]
  folders: KeptFolders
  version: string
  /** Milliseconds since 1970. */
  now: () => number
}>

type FileSum = Manifest['files'][number]
type Table = Manifest['tables'][number]

/** Files are rewritten while they are read, now and then. */
const tries = 5
const pieceBytes = 4 * 1024 * 1024
const readBytes = 1024 * 1024

/**
 * Writes all that cannot be made again into one file: the rows as they were in one moment, then the files. The service may run and write
 * meanwhile. It is written beside and renamed: whatever ends it leaves the old file, or the new one. Throws `storage_full`, `unavailable`.
 */
export async function writeBackup(path: string, parts: BackupParts): Promise<Manifest> {
  refuseInside(parts.folders.dataDir, path)
  try {
    return await workBeside(path, async (beside) => {
      makeFolder(dirname(resolve(path)))
      // Password hashes and conversations are in it.
      const file = await open(beside, 'wx', 0o600)
      const manifest = await writeAll(file, parts).finally(() => file.close())
      await rename(beside, path)
      return manifest
    })
  } catch (error) {
    throw toStorageError(error, path)
  }
}

async function writeAll(file: FileHandle, parts: BackupParts): Promise<Manifest> {
  const createdAt = new Date(parts.now())
  const manifest = await writeTar(file, createdAt, (tar) => fillTar(tar, parts, createdAt))
  await file.sync()
  return manifest
}

async function fillTar(tar: TarWriter, parts: BackupParts, createdAt: Date): Promise<Manifest> {
  const { storage, layouts, migrations, folders, version } = parts
  const files: FileSum[] = []
  const tables = await storage.readSnapshot(async (db) => {
    const written: Table[] = []
    for (const layout of layouts) written.push(await writeTable(tar, db, layout, files))
    return written
  })
  // After the rows: what a row speaks of is there already.
  for await (const kept of listKeptFiles(folders)) await writeFile(tar, kept, files)
  const manifest: Manifest = { format, version, created_at: createdAt.toISOString(), migrations: [...migrations], tables, files }
  const text = Buffer.from(`${JSON.stringify(manifest, null, 1)}\n`)
  await tar.add(manifestName, text.length, [text])
  return manifest
}

/** It would be in the next one. */
function refuseInside(dataDir: string, path: string): void {
  const inData = relative(resolve(dataDir), resolve(path)).split(sep)
  if (inData[0] === '..' || inData[0] === backupsFolder || isAbsolute(inData.join(sep))) return
  const message = `A backup may not be kept among the data. Choose another place than ${dataDir}, or ${join(dataDir, backupsFolder)}.`
  throw new AppError('invalid', message)
}

async function writeTable(
  tar: TarWriter,
  db: Parameters<typeof readRows>[0],
  layout: TableLayout,
  files: FileSum[],
): Promise<Table> {
  const sum = createTableSum()
  let pieces = 0
  let waiting: string[] = []
  let waitingBytes = 0
  const flush = async () => {
    const bytes = Buffer.from(waiting.map((line) => `${line}\n`).join(''))
    const name = rowsName(layout.name, pieces)
    const sha256 = await tar.add(name, bytes.length, [bytes])
    files.push({ name, bytes: bytes.length, sha256: sha256 ?? '' })
    pieces += 1
    waiting = []
    waitingBytes = 0
  }
  for await (const lines of readRows(db, layout)) {
    sum.add(lines)
    for (const line of lines) {
      waiting.push(line)
      waitingBytes += line.length
      if (waitingBytes >= pieceBytes) await flush()
    }
  }
  if (waiting.length > 0) await flush()
  return { name: layout.name, ...sum.end(), last_number: await readLastNumber(db, layout), pieces }
}

/** One that is written meanwhile is read again; the last entry of a name counts. One that has gone was not to be kept. */
async function writeFile(tar: TarWriter, { path, name }: KeptFile, files: FileSum[]): Promise<void> {
  for (let attempt = 0; attempt < tries; attempt += 1) {
    const file = await open(path, 'r').catch((error: unknown) => {
      if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
      throw error
    })
    if (file === undefined) return
    try {
      const before = await file.stat()
      const sha256 = await tar.add(name, before.size, readPieces(file))
      const after = await file.stat()
      if (sha256 === undefined || after.mtimeMs !== before.mtimeMs || after.size !== before.size) continue
      files.push({ name, bytes: before.size, sha256, modified_ms: Math.trunc(before.mtimeMs) })
      return
    } finally {
      await file.close()
    }
  }
  throw new AppError('conflict', `${path} changes faster than it can be read. Try again later.`)
}

/** Its bytes to where it ends by then. Not a stream: leaving one before its end closes the file. */
async function* readPieces(file: FileHandle): AsyncGenerator<Buffer> {
  for (let at = 0; ; ) {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(readBytes), 0, readBytes, at)
    if (bytesRead === 0) return
    yield buffer.subarray(0, bytesRead)
    at += bytesRead
  }
}
