import type { FastifyBaseLogger } from 'fastify'
import { askerOf, isAdmin } from './asker.ts'
import type { Closer } from './closer.ts'
import type { Config } from './config.ts'
import { type Clock, waitOn } from './engine/cloud/clock.ts'
import { createFeedback } from './feedback/feedback.ts'
import { createLessons, type Lessons } from './feedback/lessons.ts'
import { findRated } from './feedback/rated-answer.ts'
import { type FeedbackRoutes, feedbackRoutes } from './feedback/routes.ts'
import type { Metrics } from './metrics/metrics.ts'
import type { Recorder } from './predict/predict.ts'
import type { Predictions } from './predictions/prediction.ts'
import { createPredictions } from './predictions/predictions.ts'
import { createRecorder } from './predictions/recorder.ts'
import { openRetention } from './predictions/retention.ts'
import { type PredictionRoutes, predictionRoutes } from './predictions/routes.ts'
import { toPredictionBody } from './predictions/to-wire.ts'
import type { Database } from './storage/tables.ts'

const dayMs = 24 * 60 * 60 * 1000

export type PredictionsPart = Readonly<{
  predictions: Predictions
  recorder: Recorder
  routes: PredictionRoutes
  feedback: FeedbackRoutes
  /** What the feedback teaches. */
  lessons: Lessons
}>

export type PredictionsPartParts = Readonly<{
  db: Database
  log: FastifyBaseLogger
  metrics: Pick<Metrics, 'predictionRecorded'>
  now: () => number
  /** As of `openSettledTime`. */
  settledNow: () => number
  clock: Clock
  /** Told after each piece of feedback. */
  onFeedback: () => void
}>

/** The answers that are remembered (what writes them, who may read them, and when they go), and the feedback on them. */
export function openPredictions(
  config: Config,
  { db, log, metrics, now, settledNow, clock, onFeedback }: PredictionsPartParts,
  closer: Closer,
): PredictionsPart {
  const { storePredictions: isOn, predictionRetentionDays: days } = config
  const predictions = createPredictions({ db, now })
  closer.use(openRetention({ db, days, log, now: settledNow, waitADay: (signal) => waitOn(clock, dayMs, signal) }))
  return {
    predictions,
    recorder: createRecorder({ db, isOn, log, count: metrics.predictionRecorded, now }),
    routes: predictionRoutes({ db, predictions, ownerOf: askerOf, isOn, retentionDays: days }),
    feedback: feedbackRoutes({
      feedback: createFeedback({ db, now, onSave: onFeedback }),
      raterOf: askerOf,
      isAdmin,
      findRated: (rater, rated) => findRated(db, rater, rated),
      async readPrediction(id) {
        const prediction = await predictions.find(undefined, id)
        return prediction === undefined ? undefined : toPredictionBody(prediction)
      },
    }),
    lessons: createLessons({ db }),
  }
}
