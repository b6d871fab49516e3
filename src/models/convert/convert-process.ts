import { fork } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { discard } from '../../engine/disk.ts'
import type { TensorWritten } from '../../engine/gguf/gguf-writer.ts'
import { createProcessEnd } from '../../engine/local/process-end.ts'
import { type WatchParts, watchForHang } from '../../engine/local/watch-child.ts'
import { AppError } from '../../errors.ts'
import type { Conversion } from './convert.ts'
import type { FromConverter, ToConverter } from './convert-protocol.ts'

/** The part of ChildProcess that a conversion needs; tests pass a plain object. */
export interface ConverterChild {
  readonly pid?: number | undefined
  send(message: ToConverter): void
  kill(): void
  onMessage(listener: (message: FromConverter) => void): void
  /** Called once; `reason` says how the process ended, `output` is the end of what it wrote to its error output. */
  onExit(listener: (reason: string, output: string) => void): void
}

/** As much of a dead process's error output as is kept. */
const keptOutput = 4000

/** Starts the child process of a conversion. */
export function spawnConverter(): ConverterChild {
  const file = import.meta.url.endsWith('.ts') ? './convert-worker.ts' : './convert-worker.js'
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] })
  let output = ''
  child.stderr?.setEncoding('utf8').on('data', (text: string) => {
    output = (output + text).slice(-keptOutput)
  })
  // Not `exit`: the last messages may still be on their way then.
  const end = createProcessEnd(child, { lastEvent: 'close' })
  return {
    pid: child.pid,
    send(message) {
      if (child.connected) child.send(message, () => {})
    },
    kill: end.kill,
    onMessage: (listener) => child.on('message', listener),
    onExit: (listener) => end.onEnd((reason) => listener(reason, output)),
  }
}

/**
 * Converts a checkpoint folder to a GGUF file in a process of its own, which ends with the conversion. The file is at
 * `target` when this resolves, and not before; whatever happens, no `.part` file remains. Throws what `convertCheckpoint`
 * does, `aborted` when `signal` fires (the process is killed), `unavailable` when the process dies or hangs.
 */
export async function runConversion(
  conversion: Conversion,
  report: (event: TensorWritten) => void,
  signal?: AbortSignal,
  spawn: () => ConverterChild = spawnConverter,
  watching?: WatchParts,
): Promise<void> {
  if (signal?.aborted) throw stopped()
  const child = spawn()
  const ended = Promise.withResolvers<void>()
  const outcome = Promise.withResolvers<void>()
  const onHang = (reason: string) => outcome.reject(died(reason, ''))
  const watch = watchForHang({ pid: child.pid, hasWork: () => true, onHang }, watching)
  child.onMessage((message) => {
    watch.heard()
    switch (message.type) {
      case 'tensor-written':
        report(message)
        break
      case 'conversion-end':
        outcome.resolve()
        break
      case 'conversion-failed':
        outcome.reject(new AppError(message.code, message.message))
        break
    }
  })
  child.onExit((reason, output) => {
    outcome.reject(died(reason, output))
    ended.resolve()
  })
  const abort = () => outcome.reject(stopped())
  signal?.addEventListener('abort', abort, { once: true })
  child.send({ type: 'conversion-start', conversion })
  try {
    await outcome.promise
  } catch (error) {
    child.kill()
    await ended.promise
    for (const target of [conversion.target, conversion.onnxTarget]) if (target !== undefined) await discard(`${target}.part`)
    throw error
  } finally {
    watch.close()
    signal?.removeEventListener('abort', abort)
  }
}

function stopped(): AppError {
  return new AppError('aborted', 'Converting the model was stopped.')
}

function died(reason: string, output: string): AppError {
  const cause = reason === 'SIGKILL' ? 'Most likely there was not enough memory.' : 'The log has the details.'
  const message = `The process that converted the model ended before it was done (${reason}). ${cause}`
  return new AppError('unavailable', message, { cause: new Error(output) })
}
