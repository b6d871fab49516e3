import type { Progress } from '../../../src/evaluation/evaluation.ts'
import type { EvaluationItem } from '../../../src/evaluation/schema.ts'
import { isPassing, pauseAfter } from '../../shell/pauses.ts'
import { service } from '../../shell/service.ts'
import { pause } from '../../ui/pause.ts'

/** An evaluation until it has ended: a connection that is lost is opened again. */
export function createEvaluationWatch(id: string) {
  let item = $state.raw<EvaluationItem | undefined>(undefined)
  let progress = $state.raw<Progress | undefined>(undefined)
  let failure = $state.raw<unknown>(undefined)
  let isLost = $state(false)
  let ending = new AbortController()

  async function follow(signal: AbortSignal) {
    for (let failed = 0; !signal.aborted; ) {
      try {
        const now = await service.evaluation(id)
        if (signal.aborted) return
        item = now
        isLost = false
        if (now.state !== 'queued' && now.state !== 'running') return
        for await (const event of service.watchEvaluation(id, signal)) {
          failed = 0
          if (event.type === 'done') item = event.evaluation
          else {
            progress = event
            if (item.state === 'queued') item = { ...item, state: 'running' }
          }
        }
        return
      } catch (error) {
        if (signal.aborted) return
        if (!isPassing(error)) {
          failure = error
          return
        }
        isLost = true
        failed += 1
        await pause(pauseAfter(failed), signal)
      }
    }
  }

  return {
    get item() {
      return item
    },
    get progress() {
      return progress
    },
    get failure() {
      return failure
    },
    get isLost() {
      return isLost
    },
    start() {
      ending.abort()
      ending = new AbortController()
      failure = undefined
      void follow(ending.signal)
    },
    stop: () => ending.abort(),
    show(next: EvaluationItem) {
      item = next
    },
  }
}
