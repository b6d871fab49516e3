import { discard } from '../disk.ts'
import { type JobOptions, runJob } from '../local/run-job.ts'
import { type ProcessChild, spawnFile } from '../local/spawn-process.ts'
import type { MergeJob } from './merge-adapter.ts'
import type { FromMerger, MergeEvent, ToMerger } from './merge-protocol.ts'

export type MergerChild = ProcessChild<ToMerger, FromMerger>

/** Starts the process of a job. Its error output goes to `log`. */
export function spawnMerger(log: (text: string) => void): MergerChild {
  return spawnFile(new URL('./merge-worker', import.meta.url), { log, nodeFlags: [] })
}

/**
 * Merges an adapter into its base in a process of its own, at low priority; the last event is `merge-end`, and then the target is there.
 * Ends the process when the reader stops or the signal says so; then, and whenever it fails, no file remains. Throws what `mergeAdapter`
 * does, or `unavailable` when the process dies.
 */
export async function* runMerge(job: MergeJob, options: JobOptions<ToMerger, FromMerger>): AsyncGenerator<MergeEvent> {
  let isMade = false
  try {
    const start = { type: 'merge-start', job } as const
    for await (const event of runJob<ToMerger, FromMerger, MergeEvent>({ start, isEvent, last: 'merge-end' }, options)) {
      isMade ||= event.type === 'merge-end'
      yield event
    }
  } finally {
    await discard(`${job.target}.part`)
    if (!isMade) await discard(job.target)
  }
}

function isEvent(message: FromMerger): message is MergeEvent {
  return message.type !== 'job-failed'
}
