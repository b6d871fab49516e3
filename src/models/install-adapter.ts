import { copyFile, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { discard, toDiskError } from '../engine/disk.ts'
import type { ClaimParts } from './claim-name.ts'
import { claimModelFile, installPart } from './quantize-files.ts'
import { partOf, removeUnfinished } from './unfinished.ts'
import { findSize, hashFile, saveRecord } from './verified-file.ts'

/**
 * Makes a finished adapter a model of this name; the file itself stays where it is. Where this very adapter is there already, as after a
 * sudden end, nothing is left to do. On failure nothing remains. Throws `invalid` for a name that no model can have, `conflict` when there
 * is another such model, `storage_full`, `unavailable` (the folder cannot be written).
 */
export async function installAdapter(parts: ClaimParts, file: string, name: string): Promise<void> {
  const there = join(parts.modelsDir, `${name}.gguf`)
  try {
    const sha256 = await hashFile(file)
    if (await holds(there, file, sha256)) return await saveRecord(there, { sha256, origin: undefined })
    await using claimed = await claimModelFile(parts, name)
    const { file: target } = claimed
    const part = partOf(target, 'adapter')
    try {
      await removeUnfinished(dirname(target), { isStart: false })
      await copyFile(file, part)
      await installPart(part, target, { name, sha256 })
    } finally {
      // Where it was installed it has gone already.
      await discard(part)
    }
  } catch (error) {
    throw toDiskError(error, dirname(there))
  }
}

async function holds(path: string, file: string, sha256: string): Promise<boolean> {
  return (await findSize(path)) === (await stat(file)).size && (await hashFile(path)) === sha256
}
