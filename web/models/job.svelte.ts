import type { MergeBody } from '../../src/models/merge-schema.ts'
import type { QuantizeReport } from '../../src/models/quantize-report.ts'
import type { QuantizeBody } from '../../src/models/quantize-schema.ts'
import { service } from '../shell/service.ts'

export type JobStage = 'starting' | 'calibrate' | 'merge' | 'tensor' | 'measure'
/** A model that is being made: the service makes one at a time, as long as this page holds the connection. */
export type Job = Readonly<{
  kind: 'quantize' | 'merge'
  /** What it is made of. */
  model: string
  stage: JobStage
  done: number
  total: number
}>
export type MadeModel = Readonly<{
  model: string
  sizeBytes: number
  fallbackTensors: number
  report: QuantizeReport | undefined
  reportFailure: string | undefined
}>
export type JobEnd = Readonly<{ job: Job }> & (Readonly<{ made: MadeModel }> | Readonly<{ error: unknown }>)

// Outlives the page: who looks at another one meanwhile stops nothing.
let job = $state.raw<Job | undefined>(undefined)
let end = $state.raw<JobEnd | undefined>(undefined)
let stopping: AbortController | undefined

export const currentJob = (): Job | undefined => job
export const lastEnd = (): JobEnd | undefined => end
export const stopJob = (): void => stopping?.abort()
export const forgetEnd = (): void => {
  end = undefined
}

export function startQuantization(body: QuantizeBody): void {
  void run({ kind: 'quantize', model: body.model, stage: 'starting', done: 0, total: 0 }, async (signal, tell) => {
    for await (const event of service.quantizeModel(body, signal)) {
      if (event.type === 'done')
        return {
          model: event.model,
          sizeBytes: event.size_bytes,
          fallbackTensors: event.fallback_tensors,
          report: event.report ?? undefined,
          reportFailure: event.report_error?.message,
        }
      if (event.type === 'tensor') tell(event.type, event.tensor, event.tensors)
      else tell(event.type, event.chunk, event.chunks)
    }
    return undefined
  })
}

export function startMerge(body: MergeBody): void {
  void run({ kind: 'merge', model: body.model, stage: 'starting', done: 0, total: 0 }, async (signal, tell) => {
    for await (const event of service.mergeModel(body, signal)) {
      if (event.type !== 'done') tell(event.type, event.tensor, event.tensors)
      else {
        const { model, size_bytes: sizeBytes, fallback_tensors: fallbackTensors } = event
        return { model, sizeBytes, fallbackTensors, report: undefined, reportFailure: undefined }
      }
    }
    return undefined
  })
}

type Tell = (stage: JobStage, done: number, total: number) => void

async function run(first: Job, work: (signal: AbortSignal, tell: Tell) => Promise<MadeModel | undefined>): Promise<void> {
  stopping = new AbortController()
  job = first
  end = undefined
  addEventListener('beforeunload', askBeforeLeaving)
  try {
    const made = await work(stopping.signal, (stage, done, total) => {
      job = { ...first, stage, done, total }
    })
    if (made !== undefined) end = { job: first, made }
  } catch (error) {
    end = { job: first, error }
  } finally {
    job = undefined
    removeEventListener('beforeunload', askBeforeLeaving)
  }
}

/** Leaving the page stops the work. */
function askBeforeLeaving(event: BeforeUnloadEvent): void {
  event.preventDefault()
}
