import { type JobOptions, runJob } from '../local/run-job.ts'
import { type ProcessChild, spawnFile } from '../local/spawn-process.ts'
import type { FromScorer, ScoreEvent, ScoreJob, ToScorer } from './score-protocol.ts'

export type ScorerChild = ProcessChild<ToScorer, FromScorer>

/** Starts the process of a job. Its error output goes to `log`. */
export function spawnScorer(log: (text: string) => void): ScorerChild {
  return spawnFile(new URL('./score-worker', import.meta.url), { log, nodeFlags: [] })
}

/**
 * Scores each example of a file in a process of its own, at low priority; the last event is `score-end`. Not reading on is a pause:
 * the process works two examples ahead at most. It ends when the reader stops or the signal says so. Throws `invalid` (the model, the
 * adapter or a line is not usable), `aborted`, or `unavailable` (no memory, a broken chat template, or the process died).
 */
export function runScoring(job: ScoreJob, options: JobOptions<ToScorer, FromScorer>): AsyncGenerator<ScoreEvent> {
  return runJob({ start: { type: 'score-start', job }, isEvent, last: 'score-end', read: { type: 'score-next' } }, options)
}

function isEvent(message: FromScorer): message is ScoreEvent {
  return message.type !== 'job-failed'
}
