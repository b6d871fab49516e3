import { Readable } from 'node:stream'
import type {} from '@fastify/swagger'
import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { AppError } from '../errors.ts'
import { readPeriod } from '../http/read-time.ts'
import type { Feedback, FeedbackFilter, FeedbackStore } from './feedback.ts'
import { toPredictionId } from './prediction-id.ts'
import type { Rated, RatedAnswer, Rater } from './rated-answer.ts'
import {
  type FeedbackBody,
  type FeedbackItem,
  type FeedbackQuery,
  feedbackBody,
  feedbackById,
  feedbackPage,
  feedbackQuery,
  type SavedFeedback,
  savedFeedback,
} from './schema.ts'

export type FeedbackRoutes = Readonly<Record<'caller' | 'user' | 'admin', FastifyPluginAsync>>

export type FeedbackRoutesOptions = Readonly<{
  feedback: FeedbackStore
  raterOf: (request: FastifyRequest) => Rater
  isAdmin: (request: FastifyRequest) => boolean
  /** Throws `not_found` and `invalid`. */
  findRated: (rater: Rater, rated: Rated) => Promise<RatedAnswer>
  /** An answer that is remembered, as its owner would read it. */
  readPrediction: (id: string) => Promise<object | undefined>
}>

const tags = ['feedback']

/** `POST /feedback` for whoever may ask the model, `DELETE /feedback/{id}` for users, `GET /feedback` for admins. */
export function feedbackRoutes(options: FeedbackRoutesOptions): FeedbackRoutes {
  return { caller: callerRoutes(options), user: userRoutes(options), admin: adminRoutes(options) }
}

function callerRoutes({ feedback, raterOf, findRated }: FeedbackRoutesOptions): FastifyPluginAsync {
  return async (scope) => {
    const schema = {
      tags,
      summary: 'Give feedback: a text, or a rating of an answer',
      body: feedbackBody,
      response: { 201: savedFeedback },
    }
    scope.post<{ Body: FeedbackBody }>('/feedback', { schema }, async (request, reply): Promise<SavedFeedback> => {
      const { body } = request
      refuseIncomplete(body)
      const rater = raterOf(request)
      const rated = toRated(body)
      const prediction = rated === undefined ? undefined : await findRated(rater, rated)
      const { rating, correction, text, tags: given } = body
      const { id, createdAt } = await feedback.save({
        ...rated,
        userId: rater.userId ?? null,
        rating,
        correction,
        text,
        tags: given,
      })
      reply.code(201)
      return { id, created_at: createdAt, ...(prediction === undefined ? {} : { prediction }) }
    })
  }
}

function userRoutes({ feedback, raterOf, isAdmin }: FeedbackRoutesOptions): FastifyPluginAsync {
  return async (scope) => {
    const schema = {
      tags,
      summary: 'Take feedback back: your own, or as an admin any',
      params: feedbackById,
      response: { 204: Type.Null() },
    }
    scope.delete<{ Params: Static<typeof feedbackById> }>('/feedback/:id', { schema }, async (request, reply) => {
      const { id } = request.params
      if (!(await feedback.remove(id, isAdmin(request) ? undefined : raterOf(request).userId)))
        throw new AppError('not_found', `There is no feedback "${id.slice(0, 100)}" of yours.`)
      return reply.code(204).send()
    })
  }
}

function adminRoutes({ feedback, raterOf, readPrediction }: FeedbackRoutesOptions): FastifyPluginAsync {
  return async (scope) => {
    const schema = {
      tags,
      summary: 'List the feedback, newest first; format=jsonl exports all of it',
      querystring: feedbackQuery,
      response: { 200: feedbackPage },
    }
    scope.get<{ Querystring: FeedbackQuery }>('/feedback', { schema }, async (request, reply) => {
      const { query, log } = request
      const filter = toFilter(query)
      if (query.format === 'jsonl') {
        const read = query.with === undefined ? undefined : readPrediction
        // Prompts are private: who reads those of others stands in the log.
        if (read !== undefined) log.warn({ admin: raterOf(request).userId }, 'An admin has exported feedback with its answers')
        reply.type('application/x-ndjson').header('content-disposition', 'attachment; filename="feedback.jsonl"')
        return reply.send(Readable.from(jsonLines(feedback.all(filter), read)))
      }
      if (query.with !== undefined) throw lonelyWith()
      const { items, nextCursor } = await feedback.list(filter, { limit: query.limit, cursor: query.cursor })
      return { items: items.map(toItem), next_cursor: nextCursor ?? null }
    })
  }
}

/** A rating belongs to an answer, and without a rating there must be a text. */
function refuseIncomplete(body: FeedbackBody): void {
  const { prediction_id, rating, correction, rejected_prediction_id: rejected } = body
  const isRating = [prediction_id, rating, correction, rejected].some((field) => field !== undefined)
  const required = isRating ? (['prediction_id', 'rating'] as const) : (['text'] as const)
  const missing = required.filter((field) => body[field] === undefined)
  const expected = isRating ? 'present where an answer is rated or corrected' : 'present, or else prediction_id and rating'
  const details = missing.map((field) => ({ field, expected, got: 'nothing' }))
  if (missing.length > 0)
    throw new AppError('invalid', details.map(({ field }) => `"${field}" must be ${expected}, but is missing.`).join(' '), {
      details,
    })
  if (rejected !== undefined && rating !== 'up')
    throw new AppError('invalid', '"rating" must be "up" where an answer was kept over another one, but is "down".', {
      details: [{ field: 'rating', expected: 'up with rejected_prediction_id', got: 'down' }],
    })
}

function toRated({ prediction_id: id, rejected_prediction_id: rejected }: FeedbackBody): Rated | undefined {
  if (id === undefined) return undefined
  return {
    predictionId: toPredictionId(id),
    rejectedPredictionId: rejected === undefined ? undefined : toPredictionId(rejected),
  }
}

function toFilter(query: FeedbackQuery): FeedbackFilter {
  const { rating, tag, model, user, has_correction: hasCorrection, from, to } = query
  return {
    ...(rating === undefined ? {} : { rating }),
    ...(tag === undefined ? {} : { tag }),
    ...(model === undefined ? {} : { model }),
    ...(user === undefined ? {} : { userId: user }),
    ...(hasCorrection === undefined ? {} : { hasCorrection }),
    ...readPeriod({ ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }),
  }
}

function lonelyWith(): AppError {
  const [expected, got] = ['left out unless format is jsonl', 'prediction']
  return new AppError('invalid', `"with" must be ${expected}.`, { details: [{ field: 'with', expected, got }] })
}

async function* jsonLines(
  feedback: AsyncIterable<Feedback>,
  readPrediction: FeedbackRoutesOptions['readPrediction'] | undefined,
): AsyncGenerator<string> {
  for await (const one of feedback) {
    const { predictionId } = one
    const joined =
      readPrediction === undefined
        ? {}
        : { prediction: predictionId === null ? null : ((await readPrediction(predictionId)) ?? null) }
    yield `${JSON.stringify({ ...toItem(one), ...joined })}\n`
  }
}

function toItem(feedback: Feedback): FeedbackItem {
  const { id, userId, predictionId, rejectedPredictionId, rating, text, correction, tags: given, createdAt } = feedback
  return {
    id,
    user_id: userId,
    prediction_id: predictionId,
    rejected_prediction_id: rejectedPredictionId,
    rating,
    text,
    correction,
    tags: [...given],
    created_at: createdAt,
  }
}
