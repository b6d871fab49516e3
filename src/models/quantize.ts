import { join } from 'node:path'
import { discard, toDiskError } from '../engine/disk.ts'
import type { MeasureEvent, MeasureJob, Measurement, QuantizeEvent, QuantizeJob } from '../engine/local/quantize-protocol.ts'
import { type Quantization, quantizations } from '../engine/quantization.ts'
import { AppError } from '../errors.ts'
import type { ClaimParts } from './claim-name.ts'
import type { ShareMaking, Told } from './making-jobs.ts'
import type { OneJob } from './one-job.ts'
import { claimModelFile, createPart, installPart, modelBytes, quantizedName } from './quantize-files.ts'
import { findReport, type QuantizeReport, saveReport, toRow } from './quantize-report.ts'
import type { InstalledModel, ModelRegistry } from './registry.ts'
import { reportText } from './report-text.ts'

export type QuantizeRequest = Readonly<{
  /** An installed model; it may be quantized itself. */
  model: string
  quantization: Quantization
  /** Of the new model; undefined: that of the model with its quantization. */
  name: string | undefined
  /** Makes the importance matrix. */
  calibrationText: string | undefined
  /** Whether the new model is measured beside the original, and on which text; undefined: the one that comes with the program. */
  report: boolean
  text: string | undefined
}>

export type QuantizeProgress =
  | Exclude<QuantizeEvent, { type: 'quantize-end' }>
  | Exclude<MeasureEvent, { type: 'measure-end' }>
  | Readonly<{
      type: 'quantization-end'
      name: string
      sizeBytes: number
      fallbackTensors: number
      report: QuantizeReport | undefined
      /** Why there is no report although one was asked for. */
      reportFailure: AppError | undefined
    }>

export interface Quantizations {
  /**
   * Makes a new model of an installed one; the last event is `quantization-end`. One at a time. The model is installed when it is
   * whole, before it is measured: stopping after that leaves it without a report, stopping before leaves nothing.
   * Throws `not_found`, `invalid`, `conflict` (there is such a model, or somebody makes one), `busy`, `storage_full`, `unavailable`, `aborted`.
   */
  run(request: QuantizeRequest, signal: AbortSignal): AsyncGenerator<QuantizeProgress>
  /** Throws `not_found` when the model is not there or has no report. */
  report(name: string): Promise<QuantizeReport>
}

export type QuantizationsParts = ClaimParts &
  Readonly<{
    findModel: ModelRegistry['find']
    quantize: (job: QuantizeJob, signal: AbortSignal) => AsyncIterable<QuantizeEvent>
    measure: (job: MeasureJob, signal: AbortSignal) => AsyncIterable<MeasureEvent>
    oneJob: OneJob
    share: ShareMaking
    threads: number
  }>

export function createQuantizations(parts: QuantizationsParts): Quantizations {
  const { findModel, oneJob, share } = parts
  return {
    run(request, given) {
      const { model: name, quantization } = request
      const work = (signal: AbortSignal) => quantize(parts, request, signal)
      return oneJob.run(share({ job: { kind: 'quantization', name, quantization }, work, told }), given)
    },
    async report(given) {
      const { name, path } = await findModel(given)
      const report = await findReport(path)
      if (report === undefined) throw new AppError('not_found', `There is no report on the model "${name}".`)
      return report
    },
  }
}

function told(event: QuantizeProgress): Told {
  switch (event.type) {
    case 'calibration-progress':
      return { stage: 'calibrate', done: event.chunk, total: event.chunks }
    case 'tensor-progress':
      return { stage: 'tensor', done: event.tensor, total: event.tensors }
    case 'measure-progress':
      return { stage: 'measure', done: event.chunk, total: event.chunks }
    case 'quantization-end':
      return event.name
  }
}

async function* quantize(
  parts: QuantizationsParts,
  request: QuantizeRequest,
  signal: AbortSignal,
): AsyncGenerator<QuantizeProgress> {
  refuseMissingMatrix(request)
  const source = await parts.findModel(request.model)
  const name = request.name?.replace(/\.gguf$/, '') ?? quantizedName(source.name, request.quantization)
  // Until it has been measured: a report on a model that was removed meanwhile is of no use.
  await using claimed = await claimModelFile(parts, name, signal)
  const { file } = claimed
  const fallbackTensors = yield* write(parts, request, { source, name, file }, signal)
  const sizeBytes = await modelBytes(file)
  const end = { type: 'quantization-end', name, sizeBytes, fallbackTensors } as const
  if (!request.report) return yield { ...end, report: undefined, reportFailure: undefined }
  try {
    const measurement = yield* measure(parts, request, source.path, file, signal)
    const report = await toReport(parts, request, { source, name, sizeBytes, fallbackTensors, measurement })
    await saveReport(file, report)
    yield { ...end, report, reportFailure: undefined }
  } catch (error) {
    // The model is there and of use without a report, for example one that makes embeddings.
    if (!(error instanceof AppError) || error.code === 'aborted') throw error
    yield { ...end, report: undefined, reportFailure: error }
  }
}

function refuseMissingMatrix({ quantization, calibrationText }: QuantizeRequest): void {
  if (!quantizations[quantization].needsMatrix || calibrationText !== undefined) return
  throw new AppError(
    'invalid',
    `${quantization} needs an importance matrix, which is made from a text: give a calibration text.`,
    {
      details: [{ field: 'calibration_text', expected: `a text, for ${quantization}`, got: 'nothing' }],
    },
  )
}

type Work = Readonly<{ source: InstalledModel; name: string; file: string }>

/** Writes the file and installs it; gives the number of tensors that fell back to another type. */
async function* write(
  { quantize: start, threads }: QuantizationsParts,
  { quantization, calibrationText }: QuantizeRequest,
  { source, name, file }: Work,
  signal: AbortSignal,
): AsyncGenerator<QuantizeProgress, number> {
  const part = await createPart(file)
  let fallbackTensors = 0
  try {
    for await (const event of start({ source: source.path, target: part, quantization, calibrationText, threads }, signal)) {
      if (event.type === 'quantize-end') fallbackTensors = event.fallbackTensors
      else yield event
    }
    await installPart(part, file, { name })
    return fallbackTensors
  } catch (error) {
    throw toDiskError(error, join(file, '..'))
  } finally {
    // Where it was installed it has gone already.
    await discard(part)
  }
}

async function* measure(
  { measure: start, threads }: QuantizationsParts,
  { text = reportText }: QuantizeRequest,
  original: string,
  result: string,
  signal: AbortSignal,
): AsyncGenerator<QuantizeProgress, Measurement> {
  for await (const event of start({ original, result, text, threads }, signal)) {
    if (event.type === 'measure-end') return event.measurement
    yield event
  }
  throw new AppError('internal', 'The measurement ended without a result.')
}

type Measured = Readonly<{
  source: InstalledModel
  name: string
  sizeBytes: number
  fallbackTensors: number
  measurement: Measurement
}>

async function toReport({ now }: QuantizationsParts, request: QuantizeRequest, measured: Measured): Promise<QuantizeReport> {
  const { source, name, sizeBytes, fallbackTensors, measurement } = measured
  const { original, result, chunks, scoredTokens } = measurement
  if (result === undefined) throw new AppError('internal', 'The measurement left the new model out.')
  return {
    created_at: new Date(now()).toISOString(),
    importance_matrix: request.calibrationText !== undefined,
    fallback_tensors: fallbackTensors,
    text: { given: request.text !== undefined, chunks, scored_tokens: scoredTokens },
    original: toRow(source.name, await modelBytes(source.path), original),
    result: {
      ...toRow(name, sizeBytes, result),
      kl_divergence: result.klDivergence,
      kl_divergence_error: result.klDivergenceError,
      top_agreement: result.topAgreement,
    },
  }
}
