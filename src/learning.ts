import type { FastifyBaseLogger, FastifyPluginAsync, FastifyRequest } from 'fastify'
import type { Answers } from './answers.ts'
import { openToKeys } from './auth/key-scopes.ts'
import type { Closer } from './closer.ts'
import type { Config } from './config.ts'
import { openDatasets } from './datasets-part.ts'
import { type EvaluationParts, openEvaluation } from './evaluation-part.ts'
import type { PredictionsPart } from './predictions-part.ts'
import { rolloutRoutes } from './rollout/routes.ts'
import { openTraining, type TrainingParts } from './training-part.ts'

export type LearningParts = Omit<TrainingParts, 'datasets'> &
  Pick<EvaluationParts, 'runScoring' | 'isDraining'> &
  Readonly<{
    log: FastifyBaseLogger
    answers: Answers
    predictions: PredictionsPart
    /** `user:ID`: what the audit calls who asks. */
    userOf: (request: FastifyRequest) => string
  }>

/** By who may use them. */
export type LearningRoutes = Readonly<Record<'caller' | 'user' | 'admin', readonly FastifyPluginAsync[]>>

/**
 * The way from answers to a better model: what is remembered and said of it, datasets, training, evaluations, rollouts. A part of the
 * composition root.
 */
export async function openLearning(config: Config, parts: LearningParts, closer: Closer): Promise<LearningRoutes> {
  const { db, instances, now, host, predictions, userOf } = parts
  const { predict, rollouts } = parts.answers
  const datasets = await openDatasets(config, { db, instances, lessons: predictions.lessons, now }, closer)
  const training = await openTraining(config, { ...parts, datasets: datasets.datasets }, closer)
  const evaluated = { predict, predictions: predictions.predictions, localProvider: host.name }
  const evaluation = await openEvaluation(config, { ...parts, ...evaluated }, closer)
  const { feedback, routes } = predictions
  return {
    caller: [openToKeys('feedback', [feedback.caller])],
    // What people asked is for themselves to read, not for programs that answer for them.
    user: [openToKeys('feedback', [feedback.user]), routes.user],
    admin: [
      ...training.admin,
      ...evaluation.admin,
      openToKeys('admin', [feedback.admin, routes.admin, datasets.admin, rolloutRoutes({ rollouts, userOf }).admin]),
    ],
  }
}
