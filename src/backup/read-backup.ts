import { createHash } from 'node:crypto'
import { type FileHandle, open } from 'node:fs/promises'
import { isSystemError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { type Manifest, manifestName, placeOf, readManifest, rowsName } from './manifest.ts'
import { damagedTar, readEntry, readTar, type TarEntry } from './tar-file.ts'

export type Backup = Readonly<{
  manifest: Manifest
  /** What is in it, in pieces. Throws `invalid` where the file has changed since it was opened. */
  read(name: string): AsyncGenerator<Buffer>
  /** The rows of a table, in their canonical form, some at a time. */
  readRows(table: string): AsyncGenerator<readonly string[]>
  close(): Promise<void>
}>

const mostManifestBytes = 64 * 1024 * 1024

/**
 * Opens a backup and reads it whole once, so that nothing begins with one that is damaged. Throws `not_found`, `invalid` for what is no
 * backup or is damaged, `unprocessable` for that of a newer program.
 */
export async function openBackup(path: string): Promise<Backup> {
  const unreadable = (cause: unknown) => new AppError('not_found', `The backup ${path} cannot be read.`, { cause })
  const file = await open(path, 'r').catch((error: unknown) => {
    throw unreadable(error)
  })
  try {
    const entries = await readEntries(file)
    const manifest = await findManifest(file, entries)
    checkWhole(entries, manifest)
    return createBackup(file, entries, manifest)
  } catch (error) {
    await file.close()
    // A folder can be opened, but not read.
    throw isSystemError(error, 'EISDIR', 'EIO') ? unreadable(error) : error
  }
}

type Entry = TarEntry & Readonly<{ sha256: string }>

/** All that it holds, with what each entry is now; the last of a name counts. */
async function readEntries(file: FileHandle): Promise<ReadonlyMap<string, Entry>> {
  const entries = new Map<string, Entry>()
  for await (const { content, ...entry } of readTar(file)) {
    if (entry.name !== manifestName) placeOf(entry.name)
    const hash = createHash('sha256')
    for await (const piece of content) hash.update(piece)
    entries.set(entry.name, { ...entry, sha256: hash.digest('hex') })
  }
  return entries
}

async function findManifest(file: FileHandle, entries: ReadonlyMap<string, Entry>): Promise<Manifest> {
  const entry = entries.get(manifestName)
  if (entry === undefined || entry.sizeBytes > mostManifestBytes) throw damagedTar()
  const pieces: Buffer[] = []
  for await (const piece of readEntry(file, entry)) pieces.push(piece)
  return readManifest(Buffer.concat(pieces).toString('utf8'))
}

/** Everything that is named is there, is what it was, and nothing else is there. */
function checkWhole(entries: ReadonlyMap<string, Entry>, manifest: Manifest): void {
  const named = new Set([manifestName, ...manifest.files.map(({ name }) => name)])
  // What was rewritten while it was read, and had gone when it was to be read again.
  for (const name of entries.keys()) if (!named.has(name) && placeOf(name).section === 'database') throw damagedTar()
  for (const { name, bytes, sha256 } of manifest.files) {
    placeOf(name)
    const entry = entries.get(name)
    if (entry?.sizeBytes !== bytes || entry.sha256 !== sha256) throw damaged(name)
  }
  for (const { name, pieces } of manifest.tables)
    for (let piece = 0; piece < pieces; piece += 1) if (!named.has(rowsName(name, piece))) throw damaged(rowsName(name, piece))
}

const damaged = (name: string) =>
  new AppError('invalid', `The backup is damaged: ${JSON.stringify(name)} is not what it was. Nothing was changed.`)

function createBackup(file: FileHandle, entries: ReadonlyMap<string, Entry>, manifest: Manifest): Backup {
  async function* read(name: string): AsyncGenerator<Buffer> {
    const entry = entries.get(name)
    if (entry === undefined) throw damaged(name)
    yield* readEntry(file, entry)
  }

  return {
    manifest,
    read,
    async *readRows(table) {
      const { pieces = 0 } = manifest.tables.find(({ name }) => name === table) ?? {}
      for (let piece = 0; piece < pieces; piece += 1) {
        const bytes: Buffer[] = []
        for await (const part of read(rowsName(table, piece))) bytes.push(part)
        const lines = Buffer.concat(bytes).toString('utf8').split('\n')
        for (let from = 0; from < lines.length - 1; from += rowsPerPiece)
          yield lines.slice(from, Math.min(from + rowsPerPiece, lines.length - 1))
      }
    },
    close: () => file.close(),
  }
}

const rowsPerPiece = 200
