import { open, rename } from 'node:fs/promises'
import { dirname } from 'node:path'
import { workBeside } from './beside.ts'
import { makeFolder } from './make-folder.ts'

export type ReplaceOptions = Readonly<{ mode?: number; folderMode?: number }>

/** Writes beside the file, forces it to disk and renames it, so that a reader and a power cut see the old text or the new one. */
export async function replaceFile(path: string, text: string, { mode, folderMode }: ReplaceOptions = {}): Promise<void> {
  makeFolder(dirname(path), folderMode)
  await workBeside(path, async (beside) => {
    const file = await open(beside, 'wx', mode)
    try {
      await file.writeFile(text)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(beside, path)
  })
}
