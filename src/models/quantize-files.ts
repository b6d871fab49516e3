import { open, readdir, realpath, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, relative } from 'node:path'
import { toDiskError } from '../engine/disk.ts'
import { quantizationNames } from '../engine/quantization.ts'
import { AppError } from '../errors.ts'
import { isInside } from './model-name.ts'
import { findSize } from './verified-file.ts'

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

const unfinished = /\.gguf\.(quantize|merge|adapter)-(\d+)\.part(?:\.part)?$/

/** Where a model is merged, before it is quantized; no list shows it, and what is left of it is removed as other parts are. */
export function mergePartOf(file: string): string {
  return `${file}.merge-${process.pid}.part`
}

/** Where an adapter is copied to, before it has its name. */
export function adapterPartOf(file: string): string {
  return `${file}.adapter-${process.pid}.part`
}

/**
 * An empty file to write a model into, whose name no list shows. What processes that are gone have left in the folder is removed.
 * Throws `unavailable` when the folder cannot be written.
 */
export async function createPart(file: string): Promise<string> {
  const folder = dirname(file)
  await removeLeftovers(folder)
  const part = join(folder, `${basename(file)}.quantize-${process.pid}.part`)
  try {
    await (await open(part, 'w')).close()
  } catch (error) {
    throw toDiskError(error, folder)
  }
  return part
}

/** What processes that are gone had half made in a folder. */
export async function removeLeftovers(folder: string): Promise<void> {
  for (const file of await readdir(folder)) {
    const [, kind, number] = unfinished.exec(file) ?? []
    const pid = Number(number)
    // One at a time, but for adapters: what this process has left is from an earlier one with the same number, as in a container.
    const isLeft = pid === process.pid && kind !== 'adapter'
    if (pid > 0 && (isLeft || !isAlive(pid))) await rm(join(folder, file), { force: true })
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** Forces the finished part to the disk and gives it its name. Throws `conflict` when somebody else has taken that meanwhile. */
export async function installPart(part: string, file: string, name: string): Promise<void> {
  const written = await open(part, 'r+')
  try {
    await written.sync()
  } finally {
    await written.close()
  }
  await refuseExisting(file, name)
  await rename(part, file)
}
