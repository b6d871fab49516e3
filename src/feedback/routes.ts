import { Readable } from 'node:stream'
import type {} from '@fastify/swagger'
import type { FastifyPluginAsync } from 'fastify'
import type { Static } from 'typebox'
import type { Caller } from '../auth/guard.ts'
import { AppError } from '../errors.ts'
import type { Feedback, FeedbackStore } from './feedback.ts'
import { type FeedbackItem, feedbackBody, feedbackPage, feedbackQuery, savedFeedback } from './schema.ts'

export type FeedbackRoutes = Readonly<Record<'caller' | 'admin', FastifyPluginAsync>>

/** `POST /feedback` for whoever may ask the model, `GET /feedback` for admins. */
export function feedbackRoutes({ feedback }: Readonly<{ feedback: FeedbackStore }>): FeedbackRoutes {
  return { caller: callerRoutes(feedback), admin: adminRoutes(feedback) }
}

function callerRoutes(feedback: FeedbackStore): FastifyPluginAsync {
  return async (scope) => {
    scope.post<{ Body: Static<typeof feedbackBody> }>(
      '/feedback',
      {
        schema: {
          tags: ['feedback'],
          summary: 'Give feedback: a text, or a rating of an answer',
          body: feedbackBody,
          response: { 201: savedFeedback },
        },
      },
      async (request, reply) => {
        refuseIncomplete(request.body)
        const { prediction_id: predictionId, rating, correction, text } = request.body
        const saved = await feedback.save({
          userId: userIdOf(request.caller),
          ...(predictionId === undefined ? {} : { predictionId }),
          ...(rating === undefined ? {} : { rating }),
          ...(correction === undefined ? {} : { correction }),
          ...(text === undefined ? {} : { text }),
        })
        reply.code(201)
        return { id: saved.id, created_at: saved.createdAt }
      },
    )
  }
}

function adminRoutes(feedback: FeedbackStore): FastifyPluginAsync {
  return async (scope) => {
    scope.get<{ Querystring: Static<typeof feedbackQuery> }>(
      '/feedback',
      {
        schema: {
          tags: ['feedback'],
          summary: 'List the feedback, newest first; format=jsonl exports all of it',
          querystring: feedbackQuery,
          response: { 200: feedbackPage },
        },
      },
      async ({ query }, reply) => {
        if (query.format === 'jsonl') {
          reply.type('application/x-ndjson').header('content-disposition', 'attachment; filename="feedback.jsonl"')
          return reply.send(Readable.from(jsonLines(feedback.all())))
        }
        const { items, nextCursor } = await feedback.list({ limit: query.limit, cursor: query.cursor })
        return { items: items.map(toItem), next_cursor: nextCursor ?? null }
      },
    )
  }
}

/** A rating belongs to an answer, and without a rating there must be a text. */
function refuseIncomplete(body: Static<typeof feedbackBody>): void {
  const isRating = body.prediction_id !== undefined || body.rating !== undefined || body.correction !== undefined
  const required = isRating ? (['prediction_id', 'rating'] as const) : (['text'] as const)
  const missing = required.filter((field) => body[field] === undefined)
  if (missing.length === 0) return
  const expected = isRating ? 'present where an answer is rated or corrected' : 'present, or else prediction_id and rating'
  const details = missing.map((field) => ({ field, expected, got: 'nothing' }))
  throw new AppError('invalid', details.map(({ field }) => `"${field}" must be ${expected}, but is missing.`).join(' '), {
    details,
  })
}

function userIdOf(caller: Caller): string | null {
  return caller.type === 'user' ? caller.id : null
}

async function* jsonLines(feedback: AsyncIterable<Feedback>): AsyncGenerator<string> {
  for await (const one of feedback) yield `${JSON.stringify(toItem(one))}\n`
}

function toItem({ id, userId, predictionId, rating, text, correction, createdAt }: Feedback): FeedbackItem {
  return { id, user_id: userId, prediction_id: predictionId, rating, text, correction, created_at: createdAt }
}
