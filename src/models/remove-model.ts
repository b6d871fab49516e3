import { rm, rmdir } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { AppError } from '../errors.ts'
import { onnxFile } from './onnx-models.ts'
import { withLock } from './process-lock.ts'
import { reportOf } from './quantize-report.ts'
import { isLaterPart, type ModelDetails } from './registry.ts'
import { removePart } from './transfer-state.ts'
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
 * Gives its name. Throws `not_found`, `invalid` (a name that leads out of the folder), `conflict` (in use, or being downloaded).
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
    throw new AppError('conflict', `The model "${model.name}" is being downloaded. Stop that first.`)
  }
  // As those who write it have it: a checkpoint is its folder.
  const locked = first.endsWith(onnxFile) ? dirname(first) : join(modelsDir, basename(first))
  const lock = { path: `${locked}.lock`, now, wait, onWait }
  await withLock(lock, async () => {
    // The first file first: without it the others are no model.
    for (const file of model.files) {
      await rm(file, { force: true })
      await rm(recordOf(file), { force: true })
      await rm(reportOf(file), { force: true })
      await removePart(`${file}.part`)
    }
    for (const folder of new Set(model.files.map(dirname).reverse())) await removeEmptyFolders(modelsDir, folder)
  })
  return model.name
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
