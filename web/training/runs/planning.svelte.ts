import type { NewRunBody, PlannedAnswer } from '../../../src/training/schema.ts'
import { service } from '../../shell/service.ts'

/** So long nothing must change before it is asked: people type. */
const calmMs = 350

/** What a run would be and take, asked anew when the form changes. The last plan stays until the next has come. */
export function createPlanning() {
  let plan = $state.raw<PlannedAnswer | undefined>(undefined)
  let failure = $state.raw<unknown>(undefined)
  let isAsking = $state(false)
  let timer: ReturnType<typeof setTimeout> | undefined
  let asking = new AbortController()

  async function send(body: Omit<NewRunBody, 'plan_only'>, signal: AbortSignal) {
    try {
      const next = await service.planTraining(body, signal)
      if (signal.aborted) return
      plan = next
      failure = undefined
    } catch (error) {
      if (!signal.aborted) failure = error
    } finally {
      if (!signal.aborted) isAsking = false
    }
  }

  function stop() {
    clearTimeout(timer)
    asking.abort()
  }

  return {
    get plan() {
      return plan
    },
    get failure() {
      return failure
    },
    get isAsking() {
      return isAsking
    },
    ask(body: Omit<NewRunBody, 'plan_only'>) {
      stop()
      asking = new AbortController()
      isAsking = true
      timer = setTimeout(() => void send(body, asking.signal), calmMs)
    },
    stop,
  }
}
export type Planning = ReturnType<typeof createPlanning>
