import { open, realpath, rename, stat } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { discard, toDiskError } from '../engine/disk.ts'
import { quantizationNames } from '../engine/quantization.ts'
import { AppError } from '../errors.ts'
import { type ClaimParts, claimName } from './claim-name.ts'
import { isInside } from './model-name.ts'
import { partOf, removeUnfinished } from './unfinished.ts'
import { findSize, recordOf, saveRecord, syncFile } from './verified-file.ts'

/** A name that ends like one of these says its quantization. */
const quantizationEnding = new RegExp(`[-._](${[...quantizationNames, 'F32'].join('|')})$`, 'i')
const splitEnding = /-00001-of-(\d{5})$/

/** `gemma-3-270m-q4_k_m` made into Q8_0 is `gemma-3-270m-q8_0`: letters as large as they were. */
export function quantizedName(source: string, quantization: string): string {
  const name = source.replace(splitEnding, '')
  const [whole = '', ending = ''] = quantizationEnding.exec(name) ?? []
  const isLower = ending !== '' && ending === ending.toLowerCase()
  const stem = name.slice(0, name.length - whole.length)
  return `${stem}-${isLower ? quantization.toLowerCase() : quantization}`
}

/** Bytes of a model's file, or files when it is split. */
export async function modelBytes(path: string): Promise<number> {
  const [, count] = /-00001-of-(\d{5})\.gguf$/.exec(path) ?? []
  if (count === undefined) return (await stat(path)).size
  const parts = Array.from({ length: Number(count) }, (_, index) => {
    return path.replace('-00001-of-', `-${String(index + 1).padStart(5, '0')}-of-`)
  })
  const sizes = await Promise.all(parts.map(async (part) => (await stat(part)).size))
  return sizes.reduce((sum, size) => sum + size, 0)
}

/**
 * The file that a new model of this name will be. Throws `invalid` when the name leads out of the folder, `conflict` when there is
 * such a model already.
 */
export async function newModelFile(modelsDir: string, name: string): Promise<string> {
  const file = join(modelsDir, `${name}.gguf`)
  const quoted = JSON.stringify(name.slice(0, 100))
  if (!isInside(name)) throw new AppError('invalid', `A model name must be a path inside the models folder, but is ${quoted}.`)
  const [root, folder] = await Promise.all([realpath(modelsDir), realpath(dirname(file)).catch(() => undefined)])
  if (folder === undefined)
    throw new AppError('invalid', `The folder of ${quoted} is not there. Make it first, or choose another name.`)
  if (relative(root, folder).startsWith('..'))
    throw new AppError('invalid', `The folder of ${quoted} is a link that leads out of the models folder.`)
  await refuseExisting(file, name)
  return file
}

export type ClaimedFile = AsyncDisposable & Readonly<{ file: string }>

/** As `newModelFile`, and nobody else can make a model of this name until it is disposed of. Throws `conflict` where somebody does. */
export async function claimModelFile(parts: ClaimParts, name: string, signal?: AbortSignal): Promise<ClaimedFile> {
  const file = await newModelFile(parts.modelsDir, name)
  await using claim = new AsyncDisposableStack()
  claim.use(await claimName(parts, { file, name }, signal))
  // Somebody may have been there first, and done.
  await refuseExisting(file, name)
  const kept = claim.move()
  return { file, [Symbol.asyncDispose]: () => kept.disposeAsync() }
}

async function refuseExisting(file: string, name: string): Promise<void> {
  if ((await findSize(file)) === undefined) return
  throw new AppError('conflict', `There is a model "${name}" already. Choose another name, or delete it first.`)
}

/** Of the base `a-q4_k_m` and the adapter `loras/lina`, in Q8_0: `a-lina-q8_0`. */
export function mergedName(base: string, adapter: string, quantization: string): string {
  const name = quantizedName(base, quantization)
  const stem = name.slice(0, -quantization.length)
  return `${stem}${basename(adapter)}-${name.slice(stem.length)}`
}

/**
 * An empty file to write a model into, whose name no list shows. What processes that are gone have left in the folder is removed.
 * Throws `storage_full`, and `unavailable` when the folder cannot be written.
 */
export async function createPart(file: string): Promise<string> {
  const folder = dirname(file)
  await removeUnfinished(folder, { isStart: false })
  const part = partOf(file, 'quantize')
  try {
    await (await open(part, 'w')).close()
  } catch (error) {
    throw toDiskError(error, folder)
  }
  return part
}

export type NewModel = Readonly<{
  name: string
  /** Recorded beside it; undefined: nothing is recorded. */
  sha256?: string
}>

/**
 * Forces the finished part to the disk and gives it its name, with what is to be known of it: both are there in the end, or none.
 * Throws `conflict` when somebody else has taken the name meanwhile.
 */
export async function installPart(part: string, file: string, { name, sha256 }: NewModel): Promise<void> {
  await syncFile(part)
  await refuseExisting(file, name)
  try {
    // Before the file: it is the one that makes the model.
    if (sha256 !== undefined) await saveRecord(file, { sha256, origin: undefined }, part)
    await rename(part, file)
  } catch (error) {
    if (sha256 !== undefined) await discard(recordOf(file))
    throw error
  }
}
