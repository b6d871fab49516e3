import type { FromQuantizer, MeasureEvent, MeasureJob, QuantizeEvent, QuantizeJob, ToQuantizer } from './quantize-protocol.ts'
import { runJob, type JobOptions as SomeJobOptions } from './run-job.ts'
import { type ProcessChild, spawnProcess } from './spawn-process.ts'

export type QuantizerChild = ProcessChild<ToQuantizer, FromQuantizer>

/** Starts the process of a job. Its error output goes to `log`. */
export function spawnQuantizer(log: (text: string) => void): QuantizerChild {
  return spawnProcess('quantize-worker', log)
}

/** How a job gets its process, and when it is to be given up. */
export type JobOptions = SomeJobOptions<ToQuantizer, FromQuantizer>

/**
 * Writes a quantized model; the last event is `quantize-end`. Ends the process when the reader stops or the signal says so; what it
 * has written until then stays for the caller to remove. Throws `invalid` (source or calibration text are not usable),
 * `storage_full`, `aborted`, or `unavailable` when the process dies.
 */
export function runQuantization(job: QuantizeJob, options: JobOptions): AsyncGenerator<QuantizeEvent> {
  return runJob({ start: { type: 'quantize-start', job }, isEvent: isQuantizeEvent, last: 'quantize-end' }, options)
}

/** Measures one or two models; the last event is `measure-end`. Ends and throws as `runQuantization` does. */
export function runMeasurement(job: MeasureJob, options: JobOptions): AsyncGenerator<MeasureEvent> {
  return runJob({ start: { type: 'measure-start', job }, isEvent: isMeasureEvent, last: 'measure-end' }, options)
}

function isMeasureEvent(message: FromQuantizer): message is MeasureEvent {
  return message.type === 'measure-progress' || message.type === 'measure-end'
}

function isQuantizeEvent(message: FromQuantizer): message is QuantizeEvent {
  return message.type !== 'job-failed' && !isMeasureEvent(message)
}
