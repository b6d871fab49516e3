import { open } from 'node:fs/promises'
import { readTar } from '../src/backup/tar-file.ts'

/** What the files in a tar file hold, by their names. */
export async function unpackTar(path: string): Promise<ReadonlyMap<string, string>> {
  const entries = new Map<string, string>()
  const file = await open(path, 'r')
  try {
    for await (const { name, content } of readTar(file))
      entries.set(name, Buffer.concat(await Array.fromAsync(content)).toString())
  } finally {
    await file.close()
  }
  return entries
}
