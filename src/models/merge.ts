import { basename, dirname } from 'node:path'
import { discard, toDiskError } from '../engine/disk.ts'
import type { QuantizeEvent, QuantizeJob } from '../engine/local/quantize-protocol.ts'
import { isQuantization, type Quantization, quantizations } from '../engine/quantization.ts'
import type { MergeJob } from '../engine/train/merge-adapter.ts'
import type { MergeEvent } from '../engine/train/merge-protocol.ts'
import { AppError } from '../errors.ts'
import type { ClaimParts } from './claim-name.ts'
import type { ShareMaking, Told } from './making-jobs.ts'
import type { ModelFacts } from './model-kind.ts'
import type { OneJob } from './one-job.ts'
import { claimModelFile, createPart, installPart, mergedName, modelBytes } from './quantize-files.ts'
import type { InstalledModel, ModelRegistry } from './registry.ts'
import { partOf } from './unfinished.ts'
import { hashFile } from './verified-file.ts'

export type MergeRequest = Readonly<{
  /** `base+adapter`, or an alias of it. */
  model: string
  /** Of the new model; undefined: that of the base. */
  quantization: Quantization | undefined
  /** Of the new model; undefined: made of base, adapter and quantization. */
  name: string | undefined
}>

export type MergeProgress =
  | Readonly<{ type: 'merge-progress' | 'quantize-progress'; tensor: number; tensors: number }>
  | Readonly<{
      type: 'merge-end'
      name: string
      quantization: Quantization
      sizeBytes: number
      /** Those whose shape does not allow the wanted type; they got a larger one. */
      fallbackTensors: number
    }>

export interface Merges {
  /**
   * Makes a model of a base and an adapter; the last event is `merge-end`. One at a time, and no quantization beside it. The model is
   * installed when it is whole; stopping before leaves nothing. Throws `not_found`, `invalid`, `conflict` (there is such a model, or
   * somebody makes one), `busy`, `storage_full`, `unavailable`, `aborted`.
   */
  run(request: MergeRequest, signal: AbortSignal): AsyncGenerator<MergeProgress>
}

export type MergesParts = ClaimParts &
  Readonly<{
    findModel: ModelRegistry['find']
    /** Other names for models. */
    aliases: ReadonlyMap<string, string>
    readFacts: (path: string) => Promise<Pick<ModelFacts, 'quantization'>>
    merge: (job: MergeJob, signal: AbortSignal) => AsyncIterable<MergeEvent>
    quantize: (job: QuantizeJob, signal: AbortSignal) => AsyncIterable<QuantizeEvent>
    oneJob: OneJob
    share: ShareMaking
    threads: number
  }>

export function createMerges(parts: MergesParts): Merges {
  return {
    run(request, given) {
      const { model: name, quantization = null } = request
      const work = (signal: AbortSignal) => merge(parts, request, signal)
      return parts.oneJob.run(parts.share({ job: { kind: 'merge', name, quantization }, work, told }), given)
    },
  }
}

function told(event: MergeProgress): Told {
  if (event.type === 'merge-end') return event.name
  return { stage: event.type === 'merge-progress' ? 'merge' : 'tensor', done: event.tensor, total: event.tensors }
}

async function* merge(parts: MergesParts, request: MergeRequest, signal: AbortSignal): AsyncGenerator<MergeProgress> {
  const { base, adapter } = await findBoth(parts, request.model)
  const quantization = request.quantization ?? (await quantizationOf(parts, base))
  refuseMatrix(quantization)
  const name = request.name?.replace(/\.gguf$/, '') ?? mergedName(base.name, adapter.name, quantization)
  await using claimed = await claimModelFile(parts, name, signal)
  const { file } = claimed
  const part = await createPart(file)
  try {
    const fallbackTensors = yield* write(parts, { base, adapter, quantization, file, part }, signal)
    const sha256 = await hashFile(part, signal)
    await installPart(part, file, { name, sha256 })
    yield { type: 'merge-end', name, quantization, sizeBytes: await modelBytes(file), fallbackTensors }
  } catch (error) {
    throw signal.aborted ? new AppError('aborted', 'Merging was stopped.', { cause: error }) : toDiskError(error, dirname(file))
  } finally {
    // Where it was installed it has gone already.
    await discard(part)
  }
}

async function findBoth({ findModel, aliases }: MergesParts, given: string) {
  const name = aliases.get(given) ?? given
  const plus = name.lastIndexOf('+')
  if (plus < 1)
    throw new AppError(
      'invalid',
      `Expected is BASE+ADAPTER, two installed models, but got ${JSON.stringify(given.slice(0, 100))}.`,
      {
        details: [{ field: 'model', expected: 'BASE+ADAPTER', got: JSON.stringify(given.slice(0, 100)) }],
      },
    )
  const baseName = name.slice(0, plus)
  const [base, adapter] = [await findModel(aliases.get(baseName) ?? baseName), await findModel(name.slice(plus + 1))]
  return { base, adapter }
}

/** One that needs an importance matrix cannot be made without a text. */
async function quantizationOf({ readFacts }: MergesParts, { path }: InstalledModel): Promise<Quantization> {
  const { quantization } = await readFacts(path)
  if (!isQuantization(quantization)) return 'F16'
  return quantizations[quantization].needsMatrix ? 'Q4_K_M' : quantization
}

function refuseMatrix(quantization: Quantization): void {
  if (!quantizations[quantization].needsMatrix) return
  throw new AppError(
    'invalid',
    `${quantization} needs an importance matrix. Merge into another quantization, F16 for example, and quantize that with a calibration text.`,
  )
}

type Work = Readonly<{ base: InstalledModel; adapter: InstalledModel; quantization: Quantization; file: string; part: string }>

/** Merges beside the place, and quantizes into the part; gives the number of tensors that fell back to another type. */
async function* write(
  { merge: start, quantize, threads }: MergesParts,
  { base, adapter, quantization, file, part }: Work,
  signal: AbortSignal,
): AsyncGenerator<MergeProgress, number> {
  const merged = partOf(file, 'merge')
  // BF16 reaches further than F16, and F32 loses nothing before it is rounded.
  const outputType = quantization === 'BF16' ? 'F32' : 'F16'
  try {
    for await (const event of start({ basePath: base.path, adapterPath: adapter.path, target: merged, outputType }, signal))
      if (event.type === 'tensor-written') yield { type: 'merge-progress', tensor: event.done, tensors: event.total }
    const job = { source: merged, target: part, quantization, calibrationText: undefined, threads }
    for await (const event of quantize(job, signal)) {
      if (event.type === 'tensor-progress') yield { ...event, type: 'quantize-progress' }
      if (event.type === 'quantize-end') return event.fallbackTensors
    }
    throw new AppError('internal', `Making ${basename(file)} ended without a result.`)
  } finally {
    await discard(merged)
  }
}
