import { AppError } from '../../errors.ts'
import { quantizations } from '../quantization.ts'
import type { ImportanceMatrix, QuantizeParameters } from './libllama-quantize.ts'
import { readLogLine } from './quantize-log.ts'
import type { QuantizeEvent, QuantizeJob } from './quantize-protocol.ts'

/** What a file says besides its weights is written again, and a disk should not be filled to the last byte. */
const spareBytes = 64 * 1024 ** 2

export type QuantizeParts = Readonly<{
  /** Whether it went well; the log tells the rest. */
  quantize: (parameters: QuantizeParameters) => boolean
  calibrate: (text: string, report: (chunk: number, chunks: number) => void) => ImportanceMatrix
  /** Told every line that the library logs from now on. */
  onLog: (listener: (level: number, text: string) => void) => void
  /** Bytes that may be written beside this file. */
  freeBytes: (path: string) => number
  send: (event: QuantizeEvent) => void
}>

/**
 * Writes the target of a job. Throws `invalid` when llama.cpp cannot read the source or make the quantization of it, `storage_full`
 * when the result does not fit on the disk; that is known before anything is written, unless others fill the disk meanwhile.
 */
export function quantizeFile(job: QuantizeJob, parts: QuantizeParts): void {
  const { quantize, calibrate, freeBytes, send } = parts
  const { source, target, quantization, calibrationText, threads } = job
  const { fileType, needsMatrix } = quantizations[quantization]
  if (needsMatrix && calibrationText === undefined)
    throw new AppError('invalid', `${quantization} needs an importance matrix: give a text to calibrate with.`)
  const log = readLog(parts)
  const parameters = { source, target, fileType, threads, matrix: undefined }
  if (!quantize({ ...parameters, dryRun: true })) throw unreadable(log.errors)
  const { resultBytes, fallbackTensors } = log
  refuseFullDisk(resultBytes, freeBytes(target))
  const matrix =
    calibrationText === undefined
      ? undefined
      : calibrate(calibrationText, (chunk, chunks) => send({ type: 'calibration-progress', chunk, chunks }))
  log.onTensor = (tensor, tensors) => send({ type: 'tensor-progress', tensor, tensors })
  if (!quantize({ ...parameters, matrix, dryRun: false })) {
    if (freeBytes(target) < spareBytes) refuseFullDisk(resultBytes, freeBytes(target))
    throw unreadable(log.errors)
  }
  send({ type: 'quantize-end', fallbackTensors })
}

/** What the library has told so far. */
function readLog({ onLog }: Pick<QuantizeParts, 'onLog'>) {
  const log = { resultBytes: 0, fallbackTensors: 0, errors: [] as string[], onTensor: (_tensor: number, _tensors: number) => {} }
  onLog((level, text) => {
    if (level === errorLevel && /\w/.test(text)) log.errors.push(text.trim())
    const finding = readLogLine(text)
    if (finding?.type === 'tensor') log.onTensor(finding.tensor, finding.tensors)
    if (finding?.type === 'size') log.resultBytes = finding.bytes
    if (finding?.type === 'fallback') log.fallbackTensors = finding.tensors
  })
  return log
}

/** llama.cpp's level of errors. */
const errorLevel = 4

function unreadable(errors: readonly string[]): AppError {
  const reason = errors.length === 0 ? '' : ` llama.cpp says: ${errors.slice(-3).join(' ')}`
  return new AppError('invalid', `llama.cpp could not quantize the file.${reason}`)
}

function refuseFullDisk(resultBytes: number, free: number): void {
  const needed = resultBytes + spareBytes
  if (needed <= free) return
  const [asked, left] = [needed, free].map((bytes) => `${Math.ceil(bytes / 1024 ** 2)} MB`)
  throw new AppError(
    'storage_full',
    `The quantized model needs ${asked} on the disk of the models folder, which has ${left} free.`,
  )
}
