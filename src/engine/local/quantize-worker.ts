import { rmSync, statfsSync } from 'node:fs'
import { cpus } from 'node:os'
import { dirname } from 'node:path'
import { setTimeout as wait } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import { createEvaluator } from './evaluation.ts'
import { freeThreads } from './free-threads.ts'
import { calibrate, calibrationChunk, calibrationRows, createImportanceCollector } from './importance-matrix.ts'
import { findLibrary, type Llama, openLibrary } from './libllama.ts'
import { createGraphWatcher, type ImportanceMatrix, openQuantizer } from './libllama-quantize.ts'
import { measureModels } from './measure-model.ts'
import { quantizeFile } from './quantize-file.ts'
import type { FromQuantizer, MeasureJob, QuantizeJob, ToQuantizer } from './quantize-protocol.ts'
import { workForParent } from './work-for-parent.ts'

// The entry point of the child process that makes a quantized model, or measures models: one job, then it is ended.
// It works on the CPU, also where models answer on another device: what is computed there is the same on all machines.

const parent = process.ppid
/** What the process is writing. */
let target: string | undefined
let onLog = (_level: number, _text: string) => {}

const now = () => performance.now()

function cpuTime(): number {
  const { user, system } = process.cpuUsage()
  return (user + system) / 1000
}

function open(): { folder: string; llama: Llama } {
  const folder = findLibrary('cpu')
  if (folder === undefined) throw new AppError('unavailable', 'No llama.cpp library for "cpu" is installed here.')
  return { folder, llama: openLibrary(folder, (level, text) => onLog(level, text)) }
}

/** Threads of the quantization itself do not wait for each other, so it may have all. */
function quantize(job: QuantizeJob, evaluatingThreads: number): void {
  target = job.target
  const { folder, llama } = open()
  const quantizer = openQuantizer(folder)
  quantizeFile(job, {
    quantize: (parameters) => quantizer.quantize(parameters),
    calibrate: (text, report) => makeMatrix({ folder, llama, path: job.source, threads: evaluatingThreads, text, report }),
    onLog(listener) {
      onLog = (level, text) => {
        endWithoutParent()
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
  path: string
  threads: number
  text: string
  report: (chunk: number, chunks: number) => void
}>

function makeMatrix({ folder, llama, path, threads, text, report }: Calibration): ImportanceMatrix {
  const collector = createImportanceCollector()
  const watcher = createGraphWatcher(folder, (tensor, asks) => collector.watch(watcher.operations, tensor, asks))
  const model = createEvaluator({ llama, threads, now, cpuTime }).open({
    path,
    contextSize: calibrationChunk,
    mostOutputs: calibrationRows,
    callback: watcher.callback,
  })
  calibrate(model, text, report)
  model.close()
  watcher.close()
  return collector.matrix()
}

function measure(job: MeasureJob, threads: number): void {
  const { llama } = open()
  const { open: openModel } = createEvaluator({ llama, threads, now, cpuTime })
  send({ type: 'measure-end', measurement: measureModels(job, { open: openModel, send, now }) })
}

const tell = workForParent<ToQuantizer, FromQuantizer>(receive)

function send(message: FromQuantizer): void {
  endWithoutParent()
  tell(message)
}

/**
 * A job never comes back to the event loop, so a parent that was killed is noticed on the way: where the library logs and where
 * there is progress to tell. What is half written is of no use to anybody.
 */
function endWithoutParent(): void {
  if (process.ppid === parent) return
  if (target !== undefined) rmSync(target, { force: true })
  process.kill(process.pid, 'SIGKILL')
}

/** How long the machine is watched before a model computes. */
const watchMs = 300

async function receive(message: ToQuantizer): Promise<void> {
  const before = cpus()
  await wait(watchMs)
  const evaluatingThreads = freeThreads(message.job.threads, before, cpus())
  if (message.type === 'quantize-start') quantize(message.job, evaluatingThreads)
  else measure(message.job, evaluatingThreads)
}
