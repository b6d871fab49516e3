import { open } from 'node:fs/promises'
import { listTar, readEntry } from '../src/backup/tar-file.ts'

/** What the files in a tar file hold, by their names. */
export async function unpackTar(path: string): Promise<ReadonlyMap<string, string>> {
  const entries = new Map<string, string>()
  const file = await open(path, 'r')
  try {
    for await (const entry of listTar(file)) {
      const pieces: Buffer[] = []
      for await (const piece of readEntry(file, entry)) pieces.push(piece)
      entries.set(entry.name, Buffer.concat(pieces).toString())
    }
  } finally {
    await file.close()
  }
  return entries
}
