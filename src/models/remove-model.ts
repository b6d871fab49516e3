import { rmdir } from 'node:fs/promises'
import { dirname, relative } from 'node:path'
import { toDiskError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { lockOf } from './claim-name.ts'
import { onnxFile } from './onnx-models.ts'
import { withLock } from './process-lock.ts'
import { reportOf } from './quantize-report.ts'
import { isLaterPart, type ModelDetails } from './registry.ts'
import { isFull, removeWhole, settleRemovals } from './removal.ts'
import { filesOfPart } from './transfer-state.ts'
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
    // Of a removal that was cut off; what has come back is removed, too.
    await settleRemovals(dirname(first), now())
    await removeFiles(modelsDir, await describe(model.name))
  }
  try {
    // Where there is no room for a lock nobody can download either, and who removes a model wants room.
    await withLock(lock, work).catch((error: unknown) => (isFull(error) ? work() : Promise.reject(error)))
  } catch (error) {
    throw toDiskError(error, modelsDir)
  }
  return model.name
}

async function removeFiles(modelsDir: string, { path, files }: ModelDetails): Promise<void> {
  const [first = path, ...others] = files
  const besides = (file: string) => [recordOf(file), reportOf(file), ...filesOfPart(`${file}.part`)]
  await removeWhole(first, { parts: others.toReversed(), besides: [first, ...others].flatMap(besides) })
  for (const folder of new Set([first, ...others].map(dirname).reverse())) await removeEmptyFolders(modelsDir, folder)
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
