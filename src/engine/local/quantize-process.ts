import { AppError } from '../../errors.ts'
import { createEventQueue } from './event-queue.ts'
import type { FromQuantizer, MeasureEvent, MeasureJob, QuantizeEvent, QuantizeJob, ToQuantizer } from './quantize-protocol.ts'
import { type ProcessChild, spawnProcess } from './spawn-process.ts'

export type QuantizerChild = ProcessChild<ToQuantizer, FromQuantizer>

/** Starts the process of a job. Its error output goes to `log`. */
export function spawnQuantizer(log: (text: string) => void): QuantizerChild {
  return spawnProcess('quantize-worker', log)
}

/** How a job gets its process, and when it is to be given up. */
export type JobOptions = Readonly<{ spawn: () => QuantizerChild; signal: AbortSignal }>

/**
 * Writes a quantized model; the last event is `quantize-end`. Ends the process when the reader stops or the signal says so; what it
 * has written until then stays for the caller to remove. Throws `invalid` (source or calibration text are not usable),
 * `storage_full`, `aborted`, or `unavailable` when the process dies.
 */
export function runQuantization(job: QuantizeJob, options: JobOptions): AsyncGenerator<QuantizeEvent> {
  return runJob({ type: 'quantize-start', job }, isQuantizeEvent, 'quantize-end', options)
}

/** Measures one or two models; the last event is `measure-end`. Ends and throws as `runQuantization` does. */
export function runMeasurement(job: MeasureJob, options: JobOptions): AsyncGenerator<MeasureEvent> {
  return runJob({ type: 'measure-start', job }, isMeasureEvent, 'measure-end', options)
}

const isMeasureEvent = (message: FromQuantizer) => message.type === 'measure-progress' || message.type === 'measure-end'
const isQuantizeEvent = (message: FromQuantizer) => message.type !== 'job-failed' && !isMeasureEvent(message)

async function* runJob<E extends QuantizeEvent | MeasureEvent>(
  start: ToQuantizer,
  isEvent: (message: FromQuantizer) => message is E,
  last: E['type'],
  { spawn, signal }: JobOptions,
): AsyncGenerator<E> {
  const ended = Promise.withResolvers<void>()
  const events = createEventQueue<Readonly<{ event: E } | { error: AppError }>>(signal)
  const child = spawn()
  child.onMessage((message) => {
    if (message.type === 'job-failed') events.push({ error: new AppError(message.code, message.message) })
    else if (isEvent(message)) events.push({ event: message })
  })
  child.onExit((reason) => {
    ended.resolve()
    const text = `The process that worked on the model ended (${reason}). ${likelyCause(reason)}`
    events.push({ error: new AppError('unavailable', text) })
  })
  try {
    child.send(start)
    for await (const got of events) {
      if ('error' in got) throw got.error
      yield got.event
      if (got.event.type === last) return
    }
  } finally {
    child.kill()
    // Only then is nobody writing any more.
    await ended.promise
  }
}

function likelyCause(reason: string): string {
  if (reason === 'SIGKILL') return 'Most likely there was not enough memory.'
  if (reason === 'SIGABRT' || reason === 'SIGSEGV' || reason === 'SIGBUS')
    return 'Most likely the file is damaged or of a kind that llama.cpp cannot read.'
  return 'The log has the details.'
}
