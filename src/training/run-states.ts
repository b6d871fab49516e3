import type { ErrorCode } from '../errors.ts'
import type { TrainingRunsTable } from '../storage/learning-tables.ts'

export type RunState = TrainingRunsTable['state']

export const runStates = [
  'queued',
  'running',
  'paused',
  'interrupted',
  'cancelled',
  'failed',
  'completed',
] as const satisfies readonly RunState[]

/** What can happen to a run: `start`, `complete`, `fail` and `interrupt` by itself, the others because somebody says so. */
export type RunEvent = 'start' | 'complete' | 'fail' | 'interrupt' | 'pause' | 'cancel' | 'resume'

/** From which states each event leads, and where to. Whatever is not here cannot happen. */
export const transitions = {
  start: { from: ['queued'], to: 'running' },
  complete: { from: ['running'], to: 'completed' },
  fail: { from: ['running'], to: 'failed' },
  interrupt: { from: ['running'], to: 'interrupted' },
  pause: { from: ['queued', 'running'], to: 'paused' },
  cancel: { from: ['queued', 'running', 'paused', 'interrupted'], to: 'cancelled' },
  resume: { from: ['paused', 'interrupted', 'cancelled', 'failed'], to: 'queued' },
} as const satisfies Record<RunEvent, Readonly<{ from: readonly RunState[]; to: RunState }>>

/** States that a run does not leave by itself. */
export const isAtRest = (state: RunState): boolean => state !== 'queued' && state !== 'running'

/**
 * Failures that another try may not meet again: there is room once more (disk, memory), the process was killed, or what was missing or in
 * the way (the base model, a model of the same name) is mended. Any other comes again.
 */
const passing: ReadonlySet<ErrorCode> = new Set(['storage_full', 'too_large', 'unavailable', 'busy', 'conflict', 'not_found'])

export const canTryAgain = (errorCode: string | null): boolean => [...passing].some((code) => code === errorCode)
