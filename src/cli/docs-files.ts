import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { isDocumentName } from '../rag/extract/detect-format.ts'

/** Folders that hold no documents of a person. Hidden ones do not either. */
const skipped = new Set(['node_modules', '__pycache__'])

/** The files of a folder and those in it whose names are those of documents, in a lasting order. Links are not followed. */
export async function* listDocumentFiles(folder: string): AsyncGenerator<string> {
  const entries = await readdir(folder, { withFileTypes: true })
  for (const entry of entries.sort((one, other) => (one.name < other.name ? -1 : 1))) {
    if (entry.name.startsWith('.')) continue
    const path = join(folder, entry.name)
    if (entry.isDirectory() && !skipped.has(entry.name)) yield* listDocumentFiles(path)
    else if (entry.isFile() && isDocumentName(entry.name)) yield path
  }
}

export async function kindOf(path: string): Promise<'file' | 'folder' | undefined> {
  const found = await stat(path).catch(() => undefined)
  return found?.isDirectory() ? 'folder' : found?.isFile() ? 'file' : undefined
}

/** What a file holds now. Node's blobs of files end the process when one of them changes while it is sent. */
export async function readWhole(path: string): Promise<Blob> {
  return new Blob([await readFile(path)])
}

/** In hex. */
export async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}
