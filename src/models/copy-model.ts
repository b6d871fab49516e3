import { link, mkdir, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { toDiskError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { modelEnding, parseModelName, quoted } from './model-name.ts'
import { listParts, type ModelDetails, type ModelRegistry } from './registry.ts'
import { findRecord, findSize, saveRecord } from './verified-file.ts'

export type CopyOptions = Readonly<{ modelsDir: string; registry: Pick<ModelRegistry, 'find' | 'describe'> }>

/**
 * Gives an installed model a second name: another entry of its folder for the same bytes, which stay until both are removed.
 * Throws `not_found` (no such model), `invalid` (a name that is none, or a model that is no GGUF file), `conflict` (the name is taken).
 */
export async function copyModel({ modelsDir, registry }: CopyOptions, source: string, target: string): Promise<void> {
  const model = await registry.describe((await registry.find(source)).name)
  if (!model.path.endsWith(modelEnding)) throw new AppError('invalid', `The model "${model.name}" is a folder, and has one name.`)
  const name = parseModelName(target).path
  if (name === undefined)
    throw new AppError('invalid', `A new name must be a path inside the models folder, but is ${quoted(target)}.`)
  const files = toPairs(modelsDir, model, name)
  for (const { to } of files)
    if ((await findSize(to)) !== undefined) throw new AppError('conflict', `There is a model called ${quoted(name)} already.`)
  const made: string[] = []
  try {
    await mkdir(dirname(join(modelsDir, name)), { recursive: true })
    // The first file last: with it the model is listed.
    for (const { from, to } of files.toReversed()) {
      await link(from, to)
      made.push(to)
      const record = await findRecord(from)
      // Not where it came from: by that name the first one is found.
      if (record !== undefined) await saveRecord(to, { sha256: record.sha256, origin: undefined })
    }
  } catch (error) {
    for (const file of made) await rm(file, { force: true })
    throw toDiskError(error, modelsDir)
  }
}

function toPairs(modelsDir: string, { name: source, files }: ModelDetails, target: string) {
  const suffix = /-00001-of-\d{5}$/.exec(source)?.[0] ?? ''
  const names = listParts(`${target}${suffix}`)
  return files.map((from, index) => ({ from, to: join(modelsDir, `${names[index] ?? target}${modelEnding}`) }))
}
