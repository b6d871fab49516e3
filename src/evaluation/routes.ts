import { setTimeout as wait } from 'node:timers/promises'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import { AppError } from '../errors.ts'
import { errorBody, toAppError, toErrorBody } from '../http/error-reply.ts'
import { clientGone, formatEvent, sendEventStream, withHeartbeats } from '../http/event-stream.ts'
import type { Asker } from '../predict/predict.ts'
import type { ListedRow } from './evaluation-rows.ts'
import type { Evaluation, Evaluations, Viewer } from './evaluations.ts'
import {
  type EvaluationBody,
  type EvaluationItem,
  evaluationBody,
  evaluationItem,
  evaluationPage,
  evaluationsQuery,
  followQuery,
  type ListedEvaluation,
} from './schema.ts'

/** A long text takes a large model minutes. */
const silenceMs = 15_000

const tags = ['training']
const failures = { '4xx': errorBody, '5xx': errorBody }
const params = Type.Object({ id: Type.String({ minLength: 1, maxLength: 100 }) })
type ById = { Params: Static<typeof params> }

export type EvaluationRoutesParts = Readonly<{ evaluations: Evaluations; askerOf: (request: FastifyRequest) => Asker }>

/** `/training/evaluations`, for admins. */
export function evaluationRoutes({ evaluations, askerOf }: EvaluationRoutesParts): Readonly<Record<'admin', FastifyPluginAsync>> {
  return {
    admin: async (http) => {
      addLists(http, evaluations)
      http.post<{ Body: EvaluationBody }>('/training/evaluations', { schema: createSchema }, async (request, reply) => {
        const created = await evaluations.create(request.body, { ...viewerOf(request), asker: askerOf(request) })
        reply.code(201)
        return toItem(created)
      })
      http.get<ById & { Querystring: Static<typeof followQuery> }>(
        '/training/evaluations/:id',
        { schema: getSchema },
        async (request, reply) => {
          const isStream = request.query.stream === true || acceptsEvents(request)
          const evaluation = await evaluations.get(request.params.id, viewerOf(request))
          return isStream ? follow(evaluations, request, reply) : toItem(evaluation)
        },
      )
      http.post<ById>('/training/evaluations/:id/cancel', { schema: cancelSchema }, async (request) =>
        toItem(await evaluations.cancel(request.params.id, viewerOf(request))),
      )
      http.delete<ById>('/training/evaluations/:id', { schema: removeSchema }, async (request, reply) => {
        await evaluations.remove(request.params.id, viewerOf(request))
        reply.code(204)
      })
    },
  }
}

function addLists(http: Parameters<FastifyPluginAsync>[0], evaluations: Evaluations): void {
  const schema = {
    summary: 'List evaluations, newest first',
    description: "Of other users' conversations nothing is listed.",
    tags,
    querystring: evaluationsQuery,
    response: { 200: evaluationPage, ...failures },
  }
  http.get<{ Querystring: Static<typeof evaluationsQuery> }>('/training/evaluations', { schema }, async (request) => {
    const { limit, cursor, candidate } = request.query
    const { items, nextCursor } = await evaluations.list({ ...viewerOf(request), limit, cursor, candidate })
    return { items: items.map(toListed), next_cursor: nextCursor ?? null }
  })
}

const createSchema = {
  summary: 'Compare a model with another one',
  description:
    'gate: on held-out rows of a dataset and on fixed general texts and questions, with a verdict. upgrade: both answer your own last ' +
    'conversations. It runs in the background, one at a time.',
  tags,
  body: evaluationBody,
  response: { 201: evaluationItem, ...failures },
}

const getSchema = {
  summary: 'An evaluation with its report',
  description:
    'With stream=true, or Accept: text/event-stream: `event: progress` {stage,done,total} until it has ended, then `event: done` with what ' +
    'is answered otherwise.',
  tags,
  params,
  querystring: followQuery,
  response: { 200: evaluationItem, ...failures },
}

const cancelSchema = { summary: 'Stop an evaluation', tags, params, response: { 200: evaluationItem, ...failures } }
const removeSchema = {
  summary: 'Remove an evaluation that has ended',
  tags,
  params,
  response: { 204: Type.Null(), ...failures },
}

function viewerOf({ caller }: FastifyRequest): Viewer {
  if (caller.type !== 'user') throw new AppError('unauthorized', 'Log in first.')
  return { userId: caller.id }
}

const acceptsEvents = ({ headers }: FastifyRequest) => headers.accept?.includes('text/event-stream') === true

async function follow(evaluations: Evaluations, request: FastifyRequest<ById>, reply: FastifyReply): Promise<FastifyReply> {
  const gone = clientGone(reply)
  await sendEventStream(reply, {
    frames: withHeartbeats(toFrames(evaluations, request, gone), (signal) => wait(silenceMs, undefined, { signal })),
    gone,
    toAppError: (error) => toAppError(error, request.log),
    formatFailure: (error) => formatEvent(JSON.stringify(toErrorBody(error)), 'error'),
  })
  return reply
}

async function* toFrames(evaluations: Evaluations, request: FastifyRequest<ById>, gone: AbortSignal): AsyncGenerator<string> {
  const { id } = request.params
  // So that the stream is open while it waits for its turn.
  yield ': following\n\n'
  for await (const progress of evaluations.watch(id, gone)) yield formatEvent(JSON.stringify(progress), 'progress')
  if (gone.aborted) return
  yield formatEvent(JSON.stringify(toItem(await evaluations.get(id, viewerOf(request)))), 'done')
}

function toItem(evaluation: Evaluation): EvaluationItem {
  const { request, report } = evaluation.row
  return { ...toListed(evaluation), request: JSON.parse(request), report: report === null ? null : JSON.parse(report) }
}

function toListed({ row, progress }: Evaluation<ListedRow>): ListedEvaluation {
  return {
    id: row.id,
    kind: row.kind,
    state: row.state,
    baseline: row.baseline,
    candidate: row.candidate,
    dataset_id: row.datasetId,
    run_id: row.runId,
    passed: row.passed === null ? null : row.passed === 1,
    progress: progress ?? null,
    error: row.errorCode === null ? null : { code: row.errorCode, message: row.errorMessage ?? '' },
    created_by: row.createdBy,
    created_at: row.createdAt,
    ended_at: row.endedAt,
  }
}
