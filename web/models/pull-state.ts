import type { RunningPull } from '../../src/client.ts'

export type PullStep = 'starting' | 'waiting' | 'downloading' | 'retrying' | 'checking' | 'converting'

/** What a pull does now, of what the service tells of it. */
export function stepOf({ stage, progress }: Pick<RunningPull, 'stage' | 'progress'>): PullStep {
  switch (stage?.type) {
    case 'download-wait':
      return 'waiting'
    case 'download-retry':
      return 'retrying'
    case 'file-check':
      return 'checking'
    case 'checkpoint-ready':
    case 'convert-progress':
      return 'converting'
    default:
      return progress === null && stage === null ? 'starting' : 'downloading'
  }
}

/** How much of the step is done, 0 to 1; undefined where nothing tells. */
export function shareOf(pull: Pick<RunningPull, 'stage' | 'progress'>): number | undefined {
  const { stage, progress } = pull
  const step = stepOf(pull)
  if (step === 'converting') {
    const { done, total } = stage ?? {}
    return done === undefined || total === undefined || total === 0 ? undefined : done / total
  }
  if (progress === null || progress.total_bytes === 0 || step === 'checking' || step === 'waiting') return undefined
  return Math.min(1, progress.received_bytes / progress.total_bytes)
}
