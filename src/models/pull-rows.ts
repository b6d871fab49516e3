import { AppError, errorCodes } from '../errors.ts'
import type { PullEvent } from './download-events.ts'
import type { JobRow } from './job-rows.ts'

export type PullProgress = Extract<PullEvent, { type: 'download-progress' }>

/** Where a pull stands: the last event that is no progress, and the progress since. */
export type PullStanding = Readonly<{ state: PullEvent | undefined; progress: PullProgress | undefined }>

export type RunningPull = Readonly<{ id: string; name: string }> & PullStanding

/** `model`: what was installed; `error`: why nothing was. */
export type EndedPull = Readonly<{
  id: string
  name: string
  outcome: Exclude<JobRow['state'], 'running'>
  /** UTC ISO 8601. */
  endedAt: string
  model: string | undefined
  error: AppError | undefined
}>

export const isEnded = (pull: RunningPull | EndedPull): pull is EndedPull => 'endedAt' in pull

/** A pull as another process told it. */
export function toRunning({ id, name, progress: told }: JobRow): RunningPull {
  const standing: Partial<PullStanding> = told === null ? {} : JSON.parse(told)
  const { state, progress } = standing
  // JSON knows no infinity.
  const secondsLeft = progress?.secondsLeft ?? Number.POSITIVE_INFINITY
  return { id, name, state, progress: progress === undefined ? undefined : { ...progress, secondsLeft } }
}

export function toEnded({ id, name, state, endedAt, model, errorCode, errorMessage }: JobRow): EndedPull {
  const code = errorCodes.find((known) => known === errorCode) ?? 'internal'
  return {
    id,
    name,
    outcome: state === 'running' ? 'interrupted' : state,
    endedAt: endedAt ?? '',
    model: model ?? undefined,
    error: errorCode === null ? undefined : new AppError(code, errorMessage ?? 'The pull failed.'),
  }
}

/** What has happened from one standing to the next, as far as both tell. */
export function eventsOf(before: PullStanding, now: PullStanding): readonly PullEvent[] {
  const changed = (one: object | undefined, other: object | undefined) => JSON.stringify(one) !== JSON.stringify(other)
  return [
    ...(now.state !== undefined && changed(before.state, now.state) ? [now.state] : []),
    ...(now.progress !== undefined && changed(before.progress, now.progress) ? [now.progress] : []),
  ]
}
