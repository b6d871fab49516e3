import { setImmediate } from 'node:timers/promises'
import { AppError } from '../../errors.ts'
import { findLibrary, type Llama, openLibrary } from './libllama.ts'
import { openLlamaBackend } from './llama-backend.ts'
import type { AdapterFile, FromWorker, LoadOptions, ToWorker } from './protocol.ts'
import { createWorker } from './worker-core.ts'

// The entry point of an engine's child process: one model, and the only place where llama.cpp is loaded.

/** llama.cpp's levels: 3 is a warning, 4 an error. */
const errorLevel = 4

function open(options: LoadOptions) {
  const variant = options.device === 'auto' ? 'cpu' : options.device
  const folder = findLibrary(variant)
  if (folder === undefined) throw new AppError('unavailable', `No llama.cpp library for "${variant}" is installed here.`)
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
  const { backend, model } = explained(() => openLlamaBackend(llama, options))
  const loadAdapter = (adapter: AdapterFile) => explained(() => backend.loadAdapter(adapter))
  return { backend: { ...backend, loadAdapter }, model }
}

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
