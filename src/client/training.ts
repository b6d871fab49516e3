import { readEventStream } from '../read-event-stream.ts'
import type {
  EpochAnswer,
  LatestAnswer,
  MetricsAnswer,
  NewRunBody,
  PlannedAnswer,
  RunAnswer,
  RunsPage,
  StepAnswer,
} from '../training/schema.ts'
import { brokenOff, fromErrorBody, livingBodyOf, query, type Transport } from './transport.ts'

/** What is told of a run, in the order of its stream. */
export type TrainingEvent =
  | Readonly<{ type: 'run' | 'done'; run: RunAnswer }>
  | Readonly<{ type: 'step'; step: StepAnswer }>
  | Readonly<{ type: 'epoch'; epoch: EpochAnswer }>
  /** What came after this step counts no more. */
  | Readonly<{ type: 'resume'; step: number }>

/** `/training/runs` as functions. */
export function trainingClient({ call, json, done }: Transport) {
  const pathOf = (id: string) => `/training/runs/${encodeURIComponent(id)}`
  return {
    startTraining: (body: Omit<NewRunBody, 'plan_only'>) => json<RunAnswer>('POST', '/training/runs', body),
    planTraining: (body: Omit<NewRunBody, 'plan_only'>, signal?: AbortSignal) =>
      json<PlannedAnswer>('POST', '/training/runs', { ...body, plan_only: true }, signal),
    trainingRuns: (cursor?: string, state?: string) => json<RunsPage>('GET', `/training/runs${query({ cursor, state })}`),
    trainingRun: (id: string) => json<RunAnswer>('GET', pathOf(id)),
    latestTraining: () => json<LatestAnswer>('GET', '/training/latest'),
    trainingMetrics: (id: string) => json<MetricsAnswer>('GET', `${pathOf(id)}/metrics`),
    changeTraining: (id: string, change: 'cancel' | 'pause' | 'resume') => json<RunAnswer>('POST', `${pathOf(id)}/${change}`),
    removeTraining: (id: string) => done('DELETE', pathOf(id)),
    /** All that there is to be told, then what comes; the last event is `done`. */
    async *watchTraining(id: string, signal?: AbortSignal): AsyncGenerator<TrainingEvent> {
      const response = await call('GET', `${pathOf(id)}/metrics?stream=true`, undefined, signal)
      for await (const { event, data } of readEventStream(livingBodyOf(response, signal))) {
        if (event === 'error') throw fromErrorBody(data, 'The run could not be watched to its end.')
        const told = toEvent(event, data)
        if (told !== undefined) yield told
        if (event === 'done') return
      }
      throw brokenOff()
    },
  }
}

// Our own service on the other end is trusted to send what its schemas say; they are tested on its side.
function toEvent(event: string, data: string): TrainingEvent | undefined {
  switch (event) {
    case 'run':
    case 'done':
      return { type: event, run: JSON.parse(data) }
    case 'step':
      return { type: event, step: JSON.parse(data) }
    case 'epoch':
      return { type: event, epoch: JSON.parse(data) }
    case 'resume':
      return { type: event, step: JSON.parse(data).step }
    default:
      return undefined
  }
}
