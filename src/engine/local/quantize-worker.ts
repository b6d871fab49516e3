import { rmSync, statfsSync } from 'node:fs'
import { constants, setPriority } from 'node:os'
import { dirname } from 'node:path'
import { AppError } from '../../errors.ts'
import { createEvaluator } from './evaluation.ts'
import { calibrate, calibrationChunk, calibrationRows, createImportanceCollector } from './importance-matrix.ts'
import { findLibrary, type Llama, openLibrary } from './libllama.ts'
import { createGraphWatcher, type ImportanceMatrix, openQuantizer } from './libllama-quantize.ts'
import { measureModels } from './measure-model.ts'
import { quantizeFile } from './quantize-file.ts'
import type { FromQuantizer, MeasureJob, QuantizeJob, ToQuantizer } from './quantize-protocol.ts'

// The entry point of the child process that makes a quantized model, or measures models: one job, then it is ended.
// It works on the CPU, also where models answer on another device: what is computed there is the same on all machines.

const parent = process.ppid
let onLog = (_level: number, _text: string) => {}

const now = () => performance.now()
const send = (message: FromQuantizer) => process.send?.(message)

function cpuTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function open(): { folder: string; llama: Llama } {
  const folder = findLibrary('cpu')
  if (folder === undefined) throw new AppError('unavailable', 'No llama.cpp library for "cpu" is installed here.')
  return { folder, llama: openLibrary(folder, (level, text) => onLog(level, text)) }
}

function quantize(job: QuantizeJob): void {
  const { folder, llama } = open()
  const quantizer = openQuantizer(folder)
  quantizeFile(job, {
    quantize: (parameters) => quantizer.quantize(parameters),
    calibrate: (text, report) => makeMatrix({ folder, llama, job, text, report }),
    onLog(listener) {
      onLog = (level, text) => {
        endWithoutParent(job.target)
        listener(level, text)
      }
    },
    freeBytes(path) {
      const { bavail, bsize } = statfsSync(dirname(path))
      return bavail * bsize
    },
    send,
  })
}

type Calibration = Readonly<{
  folder: string
  llama: Llama
  job: QuantizeJob
  text: string
  report: (chunk: number, chunks: number) => void
}>

function makeMatrix({ folder, llama, job, text, report }: Calibration): ImportanceMatrix {
  const collector = createImportanceCollector()
  const watcher = createGraphWatcher(folder, (tensor, asks) => collector.watch(watcher.operations, tensor, asks))
  const model = createEvaluator({ llama, threads: job.threads, now, cpuTime }).open({
    path: job.source,
    contextSize: calibrationChunk,
    mostOutputs: calibrationRows,
    callback: watcher.callback,
  })
  calibrate(model, text, report)
  model.close()
  watcher.close()
  return collector.matrix()
}

function measure(job: MeasureJob): void {
  const { llama } = open()
  const { open: openModel } = createEvaluator({ llama, threads: job.threads, now, cpuTime })
  send({ type: 'measure-end', measurement: measureModels(job, { open: openModel, send, now }) })
}

/**
 * The library writes a whole file without coming back to JavaScript but for its log, so a parent that was killed is noticed there.
 * What is half written is of no use to anybody.
 */
function endWithoutParent(target: string): void {
  if (process.ppid === parent) return
  rmSync(target, { force: true })
  process.kill(process.pid, 'SIGKILL')
}

function receive(message: ToQuantizer): void {
  try {
    if (message.type === 'quantize-start') quantize(message.job)
    else measure(message.job)
  } catch (error) {
    const known = error instanceof AppError ? error : undefined
    const message = error instanceof Error ? error.message : String(error)
    send({
      type: 'job-failed',
      code: known?.code ?? 'internal',
      message: known?.message ?? `The work on the model failed: ${message}`,
    })
  }
}

// The models that answer go first.
setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
process.on('message', receive)
// Without its parent it has nobody to work for. The parent decides when it ends: it may be told to stop together with it.
process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
