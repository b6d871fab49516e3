import { setTimeout } from 'node:timers/promises'
import type { FastifyPluginAsync, FastifyReply, FastifyRequest } from 'fastify'
import Type, { type Static } from 'typebox'
import type { Caller } from '../auth/guard.ts'
import { errorBody, toAppError, toErrorBody } from '../http/error-reply.ts'
import { clientGone, formatEvent, sendEventStream, withHeartbeats } from '../http/event-stream.ts'
import type { Database } from '../storage/tables.ts'
import type { NewRun } from './create-run.ts'
import { type EpochRow, listEpochs, type StepRow, thinSteps } from './metric-rows.ts'
import { toParameters, type UsualParameters } from './run-parameters.ts'
import { toPlannedAnswer, toRunAnswer } from './run-view.ts'
import type { TrainingRuns } from './runs.ts'
import {
  type EpochAnswer,
  latestAnswer,
  type MetricsAnswer,
  metricsAnswer,
  metricsQuery,
  type NewRunBody,
  newRunBody,
  plannedAnswer,
  resumeQuery,
  runAnswer,
  runsPage,
  runsQuery,
  type StepAnswer,
} from './schema.ts'
import type { WatchEvent } from './watch-run.ts'

export type TrainingRoutesParts = Readonly<{ runs: TrainingRuns; db: Database; usual: UsualParameters }>

export type TrainingRoutes = Readonly<{ admin: FastifyPluginAsync }>

const tags = ['training']
const failures = { '4xx': errorBody, '5xx': errorBody }
const idParams = Type.Object({ id: Type.String({ maxLength: 100 }) })
type Id = Readonly<{ Params: Static<typeof idParams> }>

/** A step of a large model takes minutes. */
const silenceMs = 15_000
const usualPoints = 1000

/** All under /training, for admins: a run takes the machine, and changes what it answers. */
export function trainingRoutes(parts: TrainingRoutesParts): TrainingRoutes {
  return {
    admin: async (http) => {
      await http.register(runRoutes(parts))
      await http.register(metricsRoutes(parts))
    },
  }
}

function runRoutes({ runs, usual }: TrainingRoutesParts): FastifyPluginAsync {
  return async (http) => {
    // Before the server waits for its last answers: those to the watchers of a run end with it.
    http.addHook('preClose', runs.close)

    const create = {
      summary: 'Train an installed model on a dataset',
      description:
        'The run waits for its turn, one runs at a time. While models of this machine answer, it stands still. It ends as an adapter ' +
        'among the models, which answers as MODEL+NAME at once.',
      tags,
      body: newRunBody,
      response: { 200: plannedAnswer, 201: runAnswer, ...failures },
    }
    http.post<{ Body: NewRunBody }>('/training/runs', { schema: create }, async ({ body, caller }, reply) => {
      const wanted: NewRun = {
        name: body.name,
        model: body.model,
        dataset: body.dataset,
        replayDataset: body.replay_dataset,
        parameters: toParameters(body, usual),
        createdBy: userIdOf(caller),
      }
      if (body.plan_only) return toPlannedAnswer(await runs.plan(wanted))
      const run = await runs.create(wanted)
      reply.code(201)
      return toRunAnswer(run)
    })

    const list = {
      summary: 'Training runs, newest first',
      tags,
      querystring: runsQuery,
      response: { 200: runsPage, ...failures },
    }
    http.get<{ Querystring: Static<typeof runsQuery> }>('/training/runs', { schema: list }, async ({ query }) => {
      const { items, nextCursor } = await runs.list({ limit: query.limit, cursor: query.cursor, state: query.state })
      return { items: items.map(toRunAnswer), next_cursor: nextCursor ?? null }
    })

    const latest = { summary: 'The newest run, and the one completed last', tags, response: { 200: latestAnswer, ...failures } }
    http.get('/training/latest', { schema: latest }, async () => {
      const { run, completed } = await runs.latest()
      return {
        run: run === undefined ? null : toRunAnswer(run),
        completed: completed === undefined ? null : toRunAnswer(completed),
      }
    })

    const one = { tags, params: idParams, response: { 200: runAnswer, ...failures } }
    const schemaOf = (summary: string, description?: string) => ({ ...one, summary, ...(description ? { description } : {}) })
    http.get<Id>('/training/runs/:id', { schema: schemaOf('One training run') }, async ({ params }) =>
      toRunAnswer(await runs.get(params.id)),
    )
    const changes = {
      pause: schemaOf(
        'Write a checkpoint and leave the machine',
        'The answer may come before the step under way is over (`stopping`).',
      ),
      cancel: schemaOf('End a run; its last checkpoint stays until the run is completed or deleted'),
      resume: schemaOf(
        'Put a run into the queue again, to go on from its last checkpoint',
        'For runs that are paused, interrupted or cancelled, and for those that failed for want of room, because the process died, or because ' +
          'their checkpoint was not there.',
      ),
    } as const
    for (const change of ['pause', 'cancel'] as const) {
      http.post<Id>(`/training/runs/:id/${change}`, { schema: changes[change] }, async ({ params }) =>
        toRunAnswer(await runs[change](params.id)),
      )
    }
    const resuming = { schema: { ...changes.resume, querystring: resumeQuery } }
    http.post<Id & { Querystring: Static<typeof resumeQuery> }>('/training/runs/:id/resume', resuming, async (request) =>
      toRunAnswer(await runs.resume(request.params.id, request.query.from_start)),
    )

    const removal = {
      summary: 'Delete a run with its checkpoint and numbers; 409 while it runs',
      description: 'An adapter that was installed stays among the models.',
      tags,
      params: idParams,
      response: { 204: Type.Null(), ...failures },
    }
    http.delete<Id>('/training/runs/:id', { schema: removal }, async ({ params }, reply) => {
      await runs.remove(params.id)
      return reply.code(204).send(null)
    })
  }
}

function metricsRoutes({ runs, db }: TrainingRoutesParts): FastifyPluginAsync {
  return async (http) => {
    const schema = {
      summary: 'Loss by step and epoch',
      description:
        'With `stream=true`, or `Accept: text/event-stream`: all steps that there are, then those to come, as `event: run`, `step`, ' +
        '`epoch` and `resume` {step} (what came after that step counts no more), and `event: done` with the run when it comes to rest.',
      tags,
      params: idParams,
      querystring: metricsQuery,
      response: { 200: metricsAnswer, ...failures },
    }
    type Route = Id & Readonly<{ Querystring: Static<typeof metricsQuery> }>
    http.get<Route>('/training/runs/:id/metrics', { schema }, async (request, reply) => {
      const { params, query } = request
      if (query.stream ?? request.headers.accept?.includes('text/event-stream'))
        return streamMetrics(runs, params.id, request, reply)
      const { row } = await runs.get(params.id)
      const wanted = { every: query.every, maxPoints: query.max_points ?? usualPoints }
      const [{ every, steps }, epochs] = await Promise.all([thinSteps(db, row.id, wanted), listEpochs(db, row.id)])
      const answer: MetricsAnswer = { run_id: row.id, every, steps: steps.map(toStep), epochs: epochs.map(toEpoch) }
      return answer
    })
  }
}

async function streamMetrics(
  runs: TrainingRuns,
  id: string,
  request: FastifyRequest,
  reply: FastifyReply,
): Promise<FastifyReply> {
  const gone = clientGone(reply)
  await sendEventStream(reply, {
    frames: withHeartbeats(toFrames(runs.watch(id, gone)), (signal) => setTimeout(silenceMs, undefined, { signal })),
    gone,
    toAppError: (error) => toAppError(error, request.log),
    formatFailure: (error) => formatEvent(JSON.stringify(toErrorBody(error)), 'error'),
  })
  return reply
}

async function* toFrames(events: AsyncIterable<WatchEvent>): AsyncGenerator<string> {
  for await (const event of events) yield formatEvent(JSON.stringify(toEventBody(event)), event.type)
}

function toEventBody(event: WatchEvent) {
  switch (event.type) {
    case 'run':
    case 'done':
      return toRunAnswer(event.run)
    case 'step':
      return toStep(event.step)
    case 'epoch':
      return toEpoch(event.epoch)
    case 'resume':
      return { step: event.step }
  }
}

function toStep({ step, epoch, loss, learningRate, gradientNorm, tokens, ms }: StepRow): StepAnswer {
  return { step, epoch, loss, learning_rate: learningRate, gradient_norm: gradientNorm, tokens, ms }
}

function toEpoch({ epoch, step, trainLoss, heldOutLoss, preferenceAccuracy }: EpochRow): EpochAnswer {
  return { epoch, step, train_loss: trainLoss, held_out_loss: heldOutLoss, preference_accuracy: preferenceAccuracy }
}

function userIdOf(caller: Caller): string | undefined {
  return caller.type === 'user' ? caller.id : undefined
}
