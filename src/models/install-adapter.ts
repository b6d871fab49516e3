import { copyFile, rm } from 'node:fs/promises'
import { dirname } from 'node:path'
import { toDiskError } from '../engine/disk.ts'
import { newModelFile } from './quantize-files.ts'
import { hashFile, installFile, syncFile } from './verified-file.ts'

/**
 * Makes a finished adapter a model of this name; the file itself stays where it is. On failure nothing remains.
 * Throws `invalid` for a name that no model can have, `conflict` when there is such a model already, `storage_full`.
 */
export async function installAdapter(modelsDir: string, file: string, name: string): Promise<void> {
  const target = await newModelFile(modelsDir, name)
  const part = `${target}.part`
  try {
    await copyFile(file, part)
    await syncFile(part)
    await installFile(part, target, { sha256: await hashFile(part), origin: undefined })
  } catch (error) {
    throw toDiskError(error, dirname(target))
  } finally {
    // Where it was installed it has gone already.
    await rm(part, { force: true })
  }
}
