import { accessSync, constants, existsSync } from 'node:fs'
import type { Config } from '../config.ts'
import { toDiskError, unreadableFolder, unusableFolder } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { makeFolder } from '../storage/make-folder.ts'

/**
 * A volume of another user is told at once, with its path, not by the first request that needs it; and before the code of the service is
 * loaded. Throws `unavailable`.
 */
export function checkFolders({ dataDir, modelsDir }: Config): void {
  try {
    makeFolder(dataDir, 0o700)
    accessSync(dataDir, constants.W_OK | constants.X_OK)
  } catch (error) {
    const known = toDiskError(error, dataDir)
    throw known instanceof AppError ? known : unusableFolder(dataDir, error)
  }
  if (!existsSync(modelsDir)) return
  try {
    accessSync(modelsDir, constants.R_OK | constants.X_OK)
  } catch (error) {
    throw unreadableFolder(modelsDir, error)
  }
}
