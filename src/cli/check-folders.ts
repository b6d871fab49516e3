import { accessSync, constants, existsSync } from 'node:fs'
import type { Config } from '../config.ts'
import { toDiskError, unreadableFolder, unusableFolder } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { makeFolder } from '../storage/make-folder.ts'

/** Makes a folder that can be written, where there is none. Throws `unavailable`. */
export function ensureFolder(folder: string, mode?: number): void {
  try {
    makeFolder(folder, mode)
    accessSync(folder, constants.W_OK | constants.X_OK)
  } catch (error) {
    const known = toDiskError(error, folder)
    throw known instanceof AppError ? known : unusableFolder(folder, error)
  }
}

/**
 * A volume of another user is told at once, with its path, not by the first request that needs it; and before the code of the service is
 * loaded. Throws `unavailable`.
 */
export function checkFolders({ dataDir, modelsDir }: Config): void {
  ensureFolder(dataDir, 0o700)
  if (!existsSync(modelsDir)) return
  try {
    accessSync(modelsDir, constants.R_OK | constants.X_OK)
  } catch (error) {
    throw unreadableFolder(modelsDir, error)
  }
}
