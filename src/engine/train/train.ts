import { mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { AppError } from '../../errors.ts'
import { toDiskError } from '../disk.ts'
import type { AdapterFile } from './adapter-file.ts'
import { tokensOf } from './batches.ts'
import { type CheckpointOptions, createCheckpoints } from './checkpoint.ts'
import type { TokenRow } from './example-tokens.ts'
import { fingerprintOf } from './job-fingerprint.ts'
import { judgeParity, parityRows, type ReferenceScorer, scoreByReference, scoreByTrainable } from './parity.ts'
import type { TrainEvent, TrainJob, TrainParameters } from './protocol.ts'
import type { ReadExamples } from './read-examples.ts'
import { countData, type DataParts, type LargestBatch, largestBatch, readTrainData } from './train-data.ts'
import { type LoopEnd, type LoopParts, runTrainLoop } from './train-loop.ts'
import type { Trainable, TrainableOptions } from './trainable.ts'

export type TrainParts = DataParts &
  Pick<LoopParts, 'control' | 'now' | 'residentBytes' | 'checkpointMs'> &
  Readonly<{
    send: (event: TrainEvent) => void
    /** The model as llama.cpp computes it, and what that calls its quantization. */
    openReference(path: string, contextSize: number): ReferenceScorer & Readonly<{ quantization: string; close(): void }>
    /** What the process would take at most, from the header of the file alone. */
    estimateMemory(options: TrainableOptions, largest: LargestBatch): Promise<number>
    openTrainable(options: TrainableOptions): Promise<Trainable>
    writeAdapter(file: string, adapter: AdapterFile): Promise<void>
    write?: CheckpointOptions['write']
  }>

/** In the run's folder. */
export const adapterName = 'adapter.gguf'

/**
 * Does a job, or goes on with it; tells its events, of which the last is `train-end`. Throws `invalid` (files, model or parameters are not
 * fit, or the model is computed otherwise than llama.cpp does it), `too_large` (it would not fit into memory), `unprocessable` (numbers out
 * of range), `storage_full`. An adapter is only written when the training came to its end.
 */
export async function train(job: TrainJob, parts: TrainParts): Promise<void> {
  const { folder, parameters } = job
  await mkdir(folder, { recursive: true }).catch((error: unknown) => {
    throw toDiskError(error, folder)
  })
  const data = await readTrainData(job, parts)
  const options: TrainableOptions = {
    path: job.modelPath,
    ...{ rank: parameters.rank, alpha: parameters.alpha, modules: parameters.modules, seed: parameters.seed },
    ...{ threads: job.threads, device: job.device, drops: parameters.dropout > 0 },
  }
  const memoryBytes = await parts.estimateMemory(options, largestBatch(data, parameters))
  refuseTooLarge(memoryBytes, job.memoryBytes)
  const { write } = parts
  const checkpoints = createCheckpoints({
    folder,
    fingerprint: await fingerprintOf(job),
    ...(write === undefined ? {} : { write }),
  })
  const checkpoint = await checkpoints.find()
  const rows = parityRows(rowsOf(data.learned), [...rowsOf(data.heldOut), ...data.replay])
  const reference = checkpoint === undefined ? askReference(job, rows, parts) : undefined
  const trainable = await parts.openTrainable(options)
  try {
    if (reference === undefined) parts.send({ type: 'train-resume', step: checkpoint?.progress.step ?? 0 })
    else {
      const parity = judgeParity(await scoreByTrainable(trainable, rows), reference.mean, reference.quantization)
      const counted = countData(data)
      parts.send({
        type: 'train-plan',
        ...counted,
        trainableParameters: trainable.parameters.reduce((sum, { data: { length } }) => sum + length, 0),
        memoryBytes,
        seconds: await estimateSeconds(trainable, { ...job, rows, tokens: counted.tokens * parameters.epochs, now: parts.now }),
        parity,
      })
    }
    const { learned, heldOut, replay, updates } = data
    const loop = { ...parts, trainable, parameters, updates, replay, checkpoints }
    const end = await runTrainLoop({ ...loop, examples: learned.examples, heldOut: heldOut.examples }, checkpoint)
    await publish(end, { trainable, job, parts })
  } finally {
    await trainable.close()
  }
}

/** Forward, back through the activations, and the gradients: each costs about as much as the first. DPO scores twice besides. */
const passes = { sft: 3, dpo: 5 } as const

type Expected = Readonly<{ parameters: TrainParameters; rows: readonly TokenRow[]; tokens: number; now: () => number }>

/** By the time that one text takes, now that everything is in memory. */
async function estimateSeconds(
  trainable: Pick<Trainable, 'score'>,
  { parameters, rows, tokens, now }: Expected,
): Promise<number> {
  const longest = rows.slice(0, 1)
  const startedAt = now()
  await scoreByTrainable(trainable, longest)
  const ofToken = (now() - startedAt) / Math.max(1, tokensOf(longest))
  return (ofToken * tokens * passes[parameters.method]) / 1000
}

const rowsOf = ({ examples }: ReadExamples) => examples.flatMap(({ rows }) => rows)

function refuseTooLarge(needed: number, allowed: number): void {
  if (needed <= allowed) return
  const [asked, left] = [needed, allowed].map((bytes) => `${Math.ceil(bytes / 1024 ** 2)} MB`)
  throw new AppError(
    'too_large',
    `The training would take ${asked} of memory, and may take ${left}. Use smaller batches, shorter examples or a smaller model.`,
  )
}

/** Its memory is free again before the weights are read for training. */
function askReference(job: TrainJob, rows: readonly TokenRow[], parts: TrainParts) {
  const reference = parts.openReference(job.modelPath, Math.max(...rows.map(({ tokens }) => tokens.length)))
  try {
    return { mean: scoreByReference(reference, rows), quantization: reference.quantization }
  } finally {
    reference.close()
  }
}

type Published = Readonly<{ trainable: Trainable; job: TrainJob; parts: TrainParts }>

/** Writes the adapter of the best epoch, unless the run is to go on later. */
async function publish(end: LoopEnd, { trainable, job, parts }: Published): Promise<void> {
  const { reason, step, best, bestParameters } = end
  const told = { type: 'train-end', reason, step, bestStep: best?.step ?? 0, heldOutLoss: best?.heldOutLoss } as const
  if (reason === 'stopped') return parts.send({ ...told, adapterFile: undefined })
  const file = join(job.folder, adapterName)
  const parameters = trainable.parameters.map((parameter, index) => ({
    ...parameter,
    data: bestParameters?.[index] ?? parameter.data,
  }))
  await parts.writeAdapter(file, {
    architecture: trainable.architecture,
    alpha: job.parameters.alpha,
    parameters,
    origin: job.adapter,
  })
  parts.send({ ...told, adapterFile: file })
}
