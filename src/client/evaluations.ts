import type { Progress } from '../evaluation/evaluation.ts'
import type { EvaluationBody, EvaluationItem, EvaluationPage } from '../evaluation/schema.ts'
import { readEventStream } from '../read-event-stream.ts'
import { brokenOff, fromErrorBody, livingBodyOf, query, type Transport } from './transport.ts'

export type EvaluationEvent = (Readonly<{ type: 'progress' }> & Progress) | Readonly<{ type: 'done'; evaluation: EvaluationItem }>

/** `/training/evaluations` as functions. */
export function evaluationClient({ call, json, done }: Transport) {
  const pathOf = (id: string) => `/training/evaluations/${encodeURIComponent(id)}`
  return {
    startEvaluation: (body: EvaluationBody) => json<EvaluationItem>('POST', '/training/evaluations', body),
    evaluations: (filter: Readonly<{ cursor?: string; candidate?: string }> = {}) =>
      json<EvaluationPage>('GET', `/training/evaluations${query(filter)}`),
    evaluation: (id: string) => json<EvaluationItem>('GET', pathOf(id)),
    cancelEvaluation: (id: string) => json<EvaluationItem>('POST', `${pathOf(id)}/cancel`),
    removeEvaluation: (id: string) => done('DELETE', pathOf(id)),
    /** How far it is, until it has ended; the last event is `done`. */
    async *watchEvaluation(id: string, signal?: AbortSignal): AsyncGenerator<EvaluationEvent> {
      const response = await call('GET', `${pathOf(id)}?stream=true`, undefined, signal)
      for await (const { event, data } of readEventStream(livingBodyOf(response, signal))) {
        if (event === 'error') throw fromErrorBody(data, 'The evaluation could not be watched to its end.')
        if (event === 'progress') yield { type: 'progress', ...(JSON.parse(data) as Progress) }
        if (event !== 'done') continue
        yield { type: 'done', evaluation: JSON.parse(data) as EvaluationItem }
        return
      }
      throw brokenOff()
    },
  }
}
