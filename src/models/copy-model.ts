import { link, mkdir, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { discard, toDiskError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { type ClaimParts, claimName } from './claim-name.ts'
import { modelEnding, parseModelName, quoted } from './model-name.ts'
import { listParts, type ModelDetails, type ModelRegistry } from './registry.ts'
import { findRecord, findSize, recordOf, saveRecord } from './verified-file.ts'

export type CopyOptions = ClaimParts & Readonly<{ registry: Pick<ModelRegistry, 'find' | 'describe'> }>

/**
 * Gives an installed model a second name: another entry of its folder for the same bytes, which stay until both are removed.
 * Throws `not_found` (no such model), `invalid` (a name that is none, or a model that is no GGUF file), `conflict` (the name is taken, or
 * is to be of another model that is being made).
 */
export async function copyModel(options: CopyOptions, source: string, target: string): Promise<void> {
  const { modelsDir, registry } = options
  const model = await registry.describe((await registry.find(source)).name)
  if (!model.path.endsWith(modelEnding)) throw new AppError('invalid', `The model "${model.name}" is a folder, and has one name.`)
  const name = parseModelName(target).path
  if (name === undefined)
    throw new AppError('invalid', `A new name must be a path inside the models folder, but is ${quoted(target)}.`)
  const files = toPairs(modelsDir, model, name)
  await using _claim = await claimName(options, { file: files[0]?.to ?? name, name })
  for (const [index, { from, to }] of files.entries())
    if ((await findSize(to)) !== undefined && (index === 0 || !(await isSameFile(from, to))))
      throw new AppError('conflict', `There is a model called ${quoted(name)} already.`)
  await linkAll(modelsDir, files)
}

type Pair = Readonly<{ from: string; to: string }>

async function linkAll(modelsDir: string, files: readonly Pair[]): Promise<void> {
  const made: string[] = []
  try {
    for (const folder of new Set(files.map(({ to }) => dirname(to)))) await mkdir(folder, { recursive: true })
    // The first file last: with it the model is listed.
    for (const { from, to } of files.toReversed()) {
      const record = await findRecord(from)
      made.push(recordOf(to))
      // Not where it came from: by that name the first one is found.
      if (record !== undefined) await saveRecord(to, { sha256: record.sha256, origin: undefined }, from)
      if (await isSameFile(from, to)) continue
      await link(from, to)
      made.push(to)
    }
  } catch (error) {
    await discard(...made)
    throw toDiskError(error, modelsDir)
  }
}

/** A copy that came to a sudden end has left some of its names. */
async function isSameFile(one: string, other: string): Promise<boolean> {
  const [its, others] = await Promise.all([stat(one), stat(other).catch(() => undefined)])
  return its.ino === others?.ino && its.dev === others.dev
}

function toPairs(modelsDir: string, { name: source, files }: ModelDetails, target: string): Pair[] {
  const suffix = /-00001-of-\d{5}$/.exec(source)?.[0] ?? ''
  const names = listParts(`${target}${suffix}`)
  return files.map((from, index) => ({ from, to: join(modelsDir, `${names[index] ?? target}${modelEnding}`) }))
}
