import { constants, setPriority } from 'node:os'
import { AppError } from '../../errors.ts'
import type { JobFailed } from './run-job.ts'

/**
 * Makes this process one that works for its parent, after the models that answer; gives what sends to it. What `receive` throws is
 * told as `job-failed`; of what was not foreseen the log gets the details. Without the parent it has nobody to work for, and ends, after
 * `onAlone`. The parent decides when it ends otherwise: both may be told to stop together.
 */
export function workForParent<To, From extends object>(
  receive: (message: To) => Promise<void>,
  { onAlone = async () => {} }: Readonly<{ onAlone?: () => Promise<void> }> = {},
): (message: From | JobFailed) => void {
  const send = (message: From | JobFailed) => {
    if (process.connected) process.send?.(message)
  }
  setPriority(constants.priority.PRIORITY_BELOW_NORMAL)
  process.on('message', (message: To) => {
    receive(message).catch((error: unknown) => send(toFailure(error)))
  })
  process.on('disconnect', () => void onAlone().finally(() => process.exit(0)))
  process.on('SIGINT', () => {})
  process.on('SIGTERM', () => {})
  return send
}

function toFailure(error: unknown): JobFailed {
  if (error instanceof AppError) return { type: 'job-failed', code: error.code, message: error.message }
  const text = error instanceof Error ? error.message : String(error)
  process.stderr.write(`${error instanceof Error ? error.stack : text}\n`)
  return { type: 'job-failed', code: 'internal', message: `The work on the model failed: ${text}` }
}
