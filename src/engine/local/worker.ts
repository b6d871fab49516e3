import { existsSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import { chooseLibrary, layersThatFit } from './devices.ts'
import { createThreadPool } from './libggml-threads.ts'
import { findLibrary, howToInstall, type LibraryVariant, type Llama, openLibrary } from './libllama.ts'
import { findGpus } from './libllama-devices.ts'
import { openLlamaBackend, type Placement } from './llama-backend.ts'
import type { AdapterFile, FromWorker, LoadOptions, ToWorker } from './protocol.ts'
import { createWorker } from './worker-core.ts'

// The entry point of an engine's child process: one model, and the only place where llama.cpp is loaded.

/** llama.cpp's levels: 3 is a warning, 4 an error. */
const errorLevel = 4

function open(options: LoadOptions) {
  const { variant, folder } = chooseLibrary(options.device, { find: findLibrary, howToInstall, mayHaveGpu: mayHaveGpu() })
  const lines: string[] = []
  const llama: Llama = openLibrary(folder, (level, text) => {
    if (level === errorLevel) lines.push(text.trim())
  })
  /** The library returns nothing but null; why, it tells its log. */
  function explained<T>(work: () => T): T {
    lines.length = 0
    try {
      return work()
    } catch (error) {
      if (!(error instanceof AppError) || lines.length === 0) throw error
      throw new AppError(error.code, `${error.message} llama.cpp says: ${lines.slice(-3).join(' ')}`, { cause: error })
    }
  }
  const threadPool = createThreadPool(folder, options.threads)
  const { backend, model } = explained(() => openLlamaBackend(llama, options, { ...place(options, variant, folder), threadPool }))
  const loadAdapter = (adapter: AdapterFile) => explained(() => backend.loadAdapter(adapter))
  return { backend: { ...backend, loadAdapter }, model }
}

/** On the GPU, as far as the model fits into its memory; on the CPU where there is none. Throws `unavailable` when one was asked for. */
function place({ device, size }: LoadOptions, variant: LibraryVariant, folder: string): Omit<Placement, 'threadPool'> {
  if (variant === 'cpu') return { device: 'cpu', gpuLayers: 0 }
  const gpus = findGpus(folder)
  const freeBytes = gpus.reduce((sum, gpu) => sum + gpu.freeBytes, 0)
  const gpuLayers = gpus.length === 0 ? 0 : size === undefined ? -1 : layersThatFit(size, freeBytes)
  if (gpuLayers !== 0) return { device: variant, gpuLayers }
  if (device === 'auto') return { device: 'cpu', gpuLayers: 0 }
  const problem =
    gpus.length === 0 ? `DEVICE is ${device}, but this machine has no such GPU` : 'The GPU has too little free memory'
  throw new AppError('unavailable', `${problem}. With DEVICE=auto or DEVICE=cpu the model runs on the processor.`)
}

/** Linux shows its GPUs as files; elsewhere only the libraries can tell. */
const mayHaveGpu = () => process.platform !== 'linux' || ['/dev/dri', '/dev/nvidiactl', '/dev/kfd'].some(existsSync)

const worker = createWorker({
  open,
  send: (message: FromWorker) => process.send?.(message),
  pause: () => setImmediate(),
  now: () => performance.now(),
  residentBytes: () => process.memoryUsage.rss(),
  fail(error) {
    console.error(error)
    process.exit(1)
  },
})

process.on('message', (message: ToWorker) => worker.receive(message))
// Without its parent it has nobody to work for. The parent decides when it ends: it may be told to stop together with it.
process.on('disconnect', () => process.exit(0))
process.on('SIGINT', () => {})
process.on('SIGTERM', () => {})
