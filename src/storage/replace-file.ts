import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { makeFolder } from './make-folder.ts'
import { writeBesidePlace } from './write-beside.ts'

/** Writes beside the file, forces it to disk and renames it, so that a reader and a power cut see the old text or the new one. */
export async function replaceFile(path: string, text: string): Promise<void> {
  await writeBesidePlace(path, async (beside) => {
    makeFolder(dirname(path))
    const file = await open(beside, 'wx')
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
  })
}
