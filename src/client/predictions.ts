import type { FeedbackBody, FeedbackItem, FeedbackQuery, SavedFeedback } from '../feedback/schema.ts'
import type { PredictionBody, PredictionSettings, PredictionsPage } from '../predictions/schema.ts'
import { query, type Transport } from './transport.ts'

type Page<T> = Readonly<{ items: readonly T[]; next_cursor: string | null }>

/** Filters by their names on the wire. */
export type FeedbackFilter = Readonly<Partial<Record<'rating' | 'tag' | 'model' | 'from' | 'to' | 'has_correction', string>>>
export type PredictionsFilter = Readonly<Partial<Record<'rating' | 'model' | 'from' | 'to' | 'limit', string>>>
export type { FeedbackBody, FeedbackItem, FeedbackQuery, PredictionBody, PredictionSettings, SavedFeedback }

/** The answers that are remembered, and the feedback on them. */
export function predictionCalls({ json, done }: Transport) {
  return {
    sendFeedback: (body: FeedbackBody) => json<SavedFeedback>('POST', '/feedback', body),
    listFeedback: (cursor?: string, filter: FeedbackFilter = {}) =>
      json<Page<FeedbackItem>>('GET', `/feedback${query({ ...filter, cursor })}`),
    removeFeedback: (id: string) => done('DELETE', `/feedback/${encodeURIComponent(id)}`),

    listPredictions: (filter: PredictionsFilter, cursor?: string) =>
      json<PredictionsPage>('GET', `/predictions${query({ ...filter, cursor })}`),
    prediction: (id: string) => json<PredictionBody>('GET', `/predictions/${encodeURIComponent(id)}`),
    removePrediction: (id: string) => done('DELETE', `/predictions/${encodeURIComponent(id)}`),
    removePredictions: () => json<Readonly<{ deleted: number }>>('DELETE', '/predictions'),
    predictionSettings: () => json<PredictionSettings>('GET', '/predictions/settings'),
    storePredictions: (store: boolean) => json<PredictionSettings>('PUT', '/predictions/settings', { store }),
  }
}
