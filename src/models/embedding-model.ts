import { join } from 'node:path'
import { AppError } from '../errors.ts'
import { runConversion } from './convert/convert-process.ts'
import { convertPulled } from './convert-pulled.ts'
import type { PullEvent } from './download-events.ts'
import { parseHubName } from './model-name.ts'
import { checkpointsFolder, isFile, onnxFile } from './onnx-models.ts'
import { type CheckpointOptions, ensurePackagedCheckpoint, miniLm } from './packaged-checkpoint.ts'
import { createPull, type PullOptions } from './pull.ts'
import { createModelRegistry } from './registry.ts'

/** The embedding model where no other is chosen; its vectors have 384 dimensions. */
export const embeddingModel = 'all-MiniLM-L6-v2'
/** Where it is on the hub. */
export const embeddingRepository = miniLm.name

export type EmbeddingSetup = PullOptions &
  Pick<CheckpointOptions, 'run'> &
  Readonly<{
    /** The embedding model that the service is set to. */
    model: string
    report: (event: PullEvent) => void
  }>

/**
 * Makes sure that the embedding model is installed: its checkpoint comes from the hub (the usual one from a Python package when the hub
 * can't be reached), and is converted here. Throws `unavailable`, `not_found`, `storage_full`, `upstream`, `aborted`.
 */
export async function ensureEmbeddingModel(options: EmbeddingSetup, signal: AbortSignal): Promise<void> {
  const { modelsDir, model } = options
  if ([embeddingModel, embeddingRepository].includes(model)) return ensureUsual(options, signal)
  const registry = createModelRegistry(modelsDir)
  const missing = await registry.find(model).then(
    () => undefined,
    (error: unknown) => error,
  )
  if (missing === undefined) return
  if (!(missing instanceof AppError) || missing.code !== 'not_found' || parseHubName(model) === undefined) throw missing
  for await (const event of createPull(options)(model, signal)) {
    options.report(event)
    if (event.type === 'checkpoint-ready') await convert(options, event, signal)
  }
}

async function ensureUsual(options: EmbeddingSetup, signal: AbortSignal): Promise<void> {
  const folder = join(options.modelsDir, checkpointsFolder, embeddingRepository)
  if (await isFile(join(folder, onnxFile))) return
  if (!(await isFile(join(folder, 'model.safetensors')))) await fetchCheckpoint(options, signal)
  await convert(options, { type: 'checkpoint-ready', folder, repository: embeddingRepository }, signal)
}

type Checkpoint = Extract<PullEvent, { type: 'checkpoint-ready' }>

async function convert(options: EmbeddingSetup, checkpoint: Checkpoint, signal: AbortSignal): Promise<void> {
  const { modelsDir, now, wait, report } = options
  for await (const event of convertPulled({ modelsDir, now, wait, convert: runConversion }, checkpoint, signal)) report(event)
}

async function fetchCheckpoint(options: EmbeddingSetup, signal: AbortSignal): Promise<void> {
  try {
    for await (const event of createPull(options)(embeddingRepository, signal)) options.report(event)
  } catch (error) {
    if (!(error instanceof AppError) || error.code !== 'unavailable') throw error
    await ensurePackagedCheckpoint({ ...options, checkpoint: miniLm }, signal)
  }
}
