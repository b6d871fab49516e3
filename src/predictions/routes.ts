import type { FastifyPluginAsync, FastifyRequest } from 'fastify'
import Type from 'typebox'
import { AppError } from '../errors.ts'
import { errorBody } from '../http/error-reply.ts'
import { readPeriod } from '../http/read-time.ts'
import type { Database } from '../storage/tables.ts'
import { findOwner } from './find-owner.ts'
import type { Prediction, PredictionFilter, PredictionOwner, Predictions } from './prediction.ts'
import {
  type AdminPredictionsPage,
  type AdminPredictionsQuery,
  adminPredictionsPage,
  adminPredictionsQuery,
  type ById,
  byId,
  type PredictionBody,
  type PredictionSettings,
  type PredictionsPage,
  type PredictionsQuery,
  predictionBody,
  predictionsPage,
  predictionsQuery,
  removedPredictions,
  settingsAnswer,
  settingsBody,
} from './schema.ts'
import { ownerName, toForeignItem, toPredictionBody, toPredictionItem } from './to-wire.ts'

export type PredictionRoutesOptions = Readonly<{
  db: Database
  predictions: Predictions
  ownerOf: (request: FastifyRequest) => PredictionOwner
  /** STORE_PREDICTIONS. */
  isOn: boolean
  /** PREDICTION_RETENTION_DAYS. */
  retentionDays: number
}>

export type PredictionRoutes = Readonly<Record<'user' | 'admin', FastifyPluginAsync>>

const tags = ['predictions']
const errors = { '4xx': errorBody, '5xx': errorBody }

/**
 * One's own predictions and settings for users, those of others for admins. Nothing for someone without an account: all that come through
 * one proxy may have the same address, and would read what the others have asked.
 */
export function predictionRoutes(options: PredictionRoutesOptions): PredictionRoutes {
  return {
    user: async (http) => {
      await http.register(ownRoutes(options))
      await http.register(settingsRoutes(options))
    },
    admin: adminRoutes(options),
  }
}

function ownRoutes({ predictions, ownerOf }: PredictionRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const listing = {
      tags,
      summary: 'List the answers to you that are remembered, newest first',
      querystring: predictionsQuery,
      response: { 200: predictionsPage, ...errors },
    }
    http.get<{ Querystring: PredictionsQuery }>(
      '/predictions',
      { schema: listing },
      async (request): Promise<PredictionsPage> => {
        const { limit, cursor } = request.query
        const { items, nextCursor } = await predictions.list(ownerOf(request), toFilter(request.query), { limit, cursor })
        return { items: items.map(toPredictionItem), next_cursor: nextCursor ?? null }
      },
    )

    const reading = { tags, summary: 'Read one of them', params: byId, response: { 200: predictionBody, ...errors } }
    http.get<{ Params: ById }>('/predictions/:id', { schema: reading }, async (request): Promise<PredictionBody> => {
      const { id } = request.params
      return toPredictionBody(found(await predictions.find(ownerOf(request), id), id))
    })

    const removing = { tags, summary: 'Forget one of them', params: byId, response: { 204: Type.Null(), ...errors } }
    http.delete<{ Params: ById }>('/predictions/:id', { schema: removing }, async (request, reply) => {
      const { id } = request.params
      if (!(await predictions.remove(ownerOf(request), id))) throw noPrediction(id)
      return reply.code(204).send()
    })

    const clearing = { tags, summary: 'Forget all of them', response: { 200: removedPredictions, ...errors } }
    http.delete('/predictions', { schema: clearing }, async (request) => ({
      deleted: await predictions.removeAll(ownerOf(request)),
    }))
  }
}

function settingsRoutes({ predictions, ownerOf, isOn, retentionDays }: PredictionRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const settingsOf = async (userId: string): Promise<PredictionSettings> => ({
      store: await predictions.isKeptFor(userId),
      service_stores: isOn,
      retention_days: retentionDays === 0 ? null : retentionDays,
    })
    const response = { 200: settingsAnswer, ...errors }

    const reading = { tags, summary: 'Whether answers to you are remembered', response }
    http.get('/predictions/settings', { schema: reading }, (request) => settingsOf(userIdOf(ownerOf(request))))

    const changing = { tags, summary: 'Choose whether answers to you are remembered', body: settingsBody, response }
    http.put<{ Body: { store: boolean } }>('/predictions/settings', { schema: changing }, async (request) => {
      const userId = userIdOf(ownerOf(request))
      await predictions.setKept(userId, request.body.store)
      return settingsOf(userId)
    })
  }
}

/** Prompts are private: lists tell an admin no texts, and each reading of one that is somebody else's is a line in the log. */
function adminRoutes({ db, predictions, ownerOf }: PredictionRoutesOptions): FastifyPluginAsync {
  return async (http) => {
    const listing = {
      tags: ['admin'],
      summary: 'List the answers that are remembered, whoever asked, without their texts',
      querystring: adminPredictionsQuery,
      response: { 200: adminPredictionsPage, ...errors },
    }
    type Listing = { Querystring: AdminPredictionsQuery }
    http.get<Listing>('/admin/predictions', { schema: listing }, async ({ query }): Promise<AdminPredictionsPage> => {
      const { limit, cursor, user } = query
      const owner = user === undefined ? undefined : await findOwner(db, user)
      const { items, nextCursor } = await predictions.list(owner, toFilter(query), { limit, cursor })
      return { items: items.map(toForeignItem), next_cursor: nextCursor ?? null }
    })

    const reading = {
      tags: ['admin'],
      summary: 'Read what somebody asked and was answered; the log tells that you did',
      params: byId,
      response: { 200: predictionBody, ...errors },
    }
    http.get<{ Params: ById }>('/admin/predictions/:id', { schema: reading }, async (request): Promise<PredictionBody> => {
      const { id } = request.params
      const prediction = found(await predictions.find(undefined, id), id)
      note(request, prediction, { admin: userIdOf(ownerOf(request)), action: 'read' })
      return toPredictionBody(prediction)
    })

    const removing = {
      tags: ['admin'],
      summary: "Forget somebody's prediction",
      params: byId,
      response: { 204: Type.Null(), ...errors },
    }
    http.delete<{ Params: ById }>('/admin/predictions/:id', { schema: removing }, async (request, reply) => {
      const { id } = request.params
      const prediction = found(await predictions.find(undefined, id), id)
      note(request, prediction, { admin: userIdOf(ownerOf(request)), action: 'deleted' })
      await predictions.remove(undefined, id)
      return reply.code(204).send()
    })
  }
}

/** One's own are no matter for the log. */
function note(
  { log }: FastifyRequest,
  prediction: Prediction,
  { admin, action }: Readonly<{ admin: string; action: 'read' | 'deleted' }>,
): void {
  if (prediction.ownerId === admin) return
  log.warn({ admin, predictionId: prediction.id, owner: ownerName(prediction) }, `An admin has ${action} a prediction`)
}

function toFilter(query: PredictionsQuery): PredictionFilter {
  const { model, rating, from, to } = query
  return {
    ...(model === undefined ? {} : { model }),
    ...(rating === undefined ? {} : { rating }),
    ...readPeriod({ ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }),
  }
}

function found(prediction: Prediction | undefined, id: string): Prediction {
  if (prediction === undefined) throw noPrediction(id)
  return prediction
}

const noPrediction = (id: string) =>
  new AppError('not_found', `No prediction "${id.slice(0, 100)}" is remembered. GET /predictions lists those that are.`)

function userIdOf({ userId }: PredictionOwner): string {
  if (userId === undefined) throw new AppError('internal', 'A route that needs a user is mounted without its guard.')
  return userId
}
