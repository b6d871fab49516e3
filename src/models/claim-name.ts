import { basename, join } from 'node:path'
import { toDiskError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { quoted } from './model-name.ts'
import { holdLock } from './process-lock.ts'

export type ClaimParts = Readonly<{ modelsDir: string; now: () => number; wait: (ms: number) => Promise<void> }>

/** The lock on a model of this (first) file: of whoever downloads, makes or removes it, in all processes that share the folder. */
export const lockOf = (modelsDir: string, file: string): string => join(modelsDir, `${basename(file)}.lock`)

/**
 * Keeps a new model's name for whoever makes it, until it is disposed of. Throws `conflict` where somebody else downloads, makes or
 * removes a model of that name, in any process; `storage_full`, `unavailable`.
 */
export async function claimName(
  { modelsDir, now, wait }: ClaimParts,
  { file, name }: Readonly<{ file: string; name: string }>,
  signal?: AbortSignal,
): Promise<AsyncDisposable> {
  const onWait = () => {
    throw new AppError(
      'conflict',
      `A model called ${quoted(name)} is being downloaded, made or removed just now. Choose another name, or wait until that has ended.`,
    )
  }
  try {
    return await holdLock({ path: lockOf(modelsDir, file), now, wait, onWait }, signal)
  } catch (error) {
    throw toDiskError(error, modelsDir)
  }
}
