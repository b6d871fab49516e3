import { mkdir, rename, rm, rmdir } from 'node:fs/promises'
import { dirname, join, relative } from 'node:path'
import { isSystemError, toDiskError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { lockOf } from './claim-name.ts'
import { onnxFile } from './onnx-models.ts'
import { withLock } from './process-lock.ts'
import { reportOf } from './quantize-report.ts'
import { isLaterPart, type ModelDetails } from './registry.ts'
import { filesOfPart } from './transfer-state.ts'
import { removalFolderOf } from './unfinished.ts'
import { recordOf } from './verified-file.ts'

export type RemoveOptions = Readonly<{
  modelsDir: string
  /** By the installed name. */
  describe: (name: string) => Promise<ModelDetails>
  /** Whether an answer may come from the model, now or at any moment. */
  isInUse: (name: string) => boolean | Promise<boolean>
  /** Throws `conflict` with the reason where something else needs the model. */
  refuse?: (name: string) => Promise<void>
  now: () => number
  wait: (ms: number) => Promise<void>
}>

/**
 * Removes an installed model by its exact name: all of its files, their records, and what an unfinished download left.
 * Gives its name. Throws `not_found`, `invalid` (a name that leads out of the folder), `conflict` (in use, or
 * being downloaded, made or measured).
 */
export async function removeModel(options: RemoveOptions, name: string): Promise<string> {
  const { modelsDir, describe, isInUse, now, wait } = options
  const model = await describe(name)
  if (isLaterPart(model.name))
    throw new AppError('invalid', `"${model.name}" is a part of a model. Remove the model by its first part, …-00001-of-….`)
  await options.refuse?.(model.name)
  if (await isInUse(model.name))
    throw new AppError(
      'conflict',
      `The model "${model.name}" is in use. Select another one, or take it out of memory: POST /models/NAME/unload.`,
    )
  const [first = model.path] = model.files
  const onWait = () => {
    throw new AppError('conflict', `The model "${model.name}" is being downloaded, made or measured. Stop that first.`)
  }
  // As those who write it have it: a checkpoint is its folder.
  const path = first.endsWith(onnxFile) ? `${dirname(first)}.lock` : lockOf(modelsDir, first)
  const lock = { path, now, wait, onWait }
  const work = async () => {
    const besides = (file: string) => [recordOf(file), reportOf(file), ...filesOfPart(`${file}.part`)]
    // The first file last: as long as it is there, the removal can be asked for again.
    await removeTogether(first, [...model.files.flatMap(besides), ...model.files.toReversed()])
    for (const folder of new Set(model.files.map(dirname).reverse())) await removeEmptyFolders(modelsDir, folder)
  }
  try {
    // Where there is no room for a lock nobody can download either, and who removes a model wants room.
    await withLock(lock, work).catch((error: unknown) => (isFull(error) ? work() : Promise.reject(error)))
  } catch (error) {
    throw toDiskError(error, modelsDir)
  }
  return model.name
}

const isFull = (error: unknown) => isSystemError(error, 'ENOSPC', 'EDQUOT')

/** Puts all aside, beside the first, before anything is gone: where one cannot be moved, all come back. */
async function removeTogether(first: string, paths: readonly string[]): Promise<void> {
  const aside = removalFolderOf(first)
  const moved: Array<readonly [from: string, to: string]> = []
  try {
    await mkdir(aside)
    for (const [index, path] of paths.entries()) {
      const place = join(aside, String(index))
      if (await rename(path, place).then(() => true, unlessMissing)) moved.push([path, place])
    }
  } catch (error) {
    // A folder takes room, too.
    if (isFull(error)) for (const path of paths) await rm(path, { force: true })
    else {
      for (const [from, to] of moved.toReversed()) await rename(to, from).catch(() => {})
      await rmdir(aside).catch(() => {})
      throw error
    }
  }
  // What stays is removed by the next start.
  await rm(aside, { recursive: true, force: true }).catch(() => {})
}

function unlessMissing(error: unknown): false {
  if (isSystemError(error, 'ENOENT')) return false
  throw error
}

async function removeEmptyFolders(modelsDir: string, from: string): Promise<void> {
  for (let folder = from; !['', '..'].includes(relative(modelsDir, folder).slice(0, 2)); folder = dirname(folder)) {
    // Whatever else is in there stays, and so does the folder.
    if (
      !(await rmdir(folder).then(
        () => true,
        () => false,
      ))
    )
      return
  }
}
